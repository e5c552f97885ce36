/// A name of the directory that has a type of its own, so that a unit is never taken for a door or for text that
/// a peer sent. Compared exactly as written.
package protocol DirectoryName: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible,
  ExpressibleByStringLiteral
where RawValue == String {
  init(rawValue: String)
}

extension DirectoryName {
  package init(_ text: String) { self.init(rawValue: text) }
  package init(stringLiteral text: String) { self.init(rawValue: text) }
  package var description: String { rawValue }
  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A dwelling by its number. Every question about what residents may do takes it.
package struct UnitID: DirectoryName {
  package let rawValue: String
  package init(rawValue: String) { self.rawValue = rawValue }
}

/// An account by its username, of a unit or of somebody without one.
package struct AccountName: DirectoryName {
  package let rawValue: String
  package init(rawValue: String) { self.rawValue = rawValue }
}

/// A door station by its username.
package struct StationName: DirectoryName {
  package let rawValue: String
  package init(rawValue: String) { self.rawValue = rawValue }
}

package struct DoorID: DirectoryName {
  package let rawValue: String
  package init(rawValue: String) { self.rawValue = rawValue }
}

package struct CameraID: DirectoryName {
  package let rawValue: String
  package init(rawValue: String) { self.rawValue = rawValue }
}

/// Something that keeps a password of its own, which the gateway uses to reach it.
package enum DeviceID: Hashable, Sendable {
  case camera(CameraID)
  case door(DoorID)
}

extension DeviceID: CustomStringConvertible {
  /// `camera:entrance`, `door:entrance`
  package var description: String {
    switch self {
    case .camera(let id): "camera:\(id)"
    case .door(let id): "door:\(id)"
    }
  }
}

/// The password of a device as a directory file gives it. Never printed.
package enum DevicePassword: Hashable, Sendable {
  case none
  /// The one that is stored already; written `"unchanged"`.
  case stored
  case given(String)
}

extension DevicePassword: CustomStringConvertible, CustomDebugStringConvertible {
  package var description: String {
    switch self {
    case .none: "none"
    case .stored: "stored"
    case .given: "given"
    }
  }
  package var debugDescription: String { description }
}
