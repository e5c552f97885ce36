internal import Calls

/// A call's name as people know it; doors know calls by number.
typealias CallName = CallID
