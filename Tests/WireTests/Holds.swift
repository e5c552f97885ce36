/// Lets `#expect` judge an expression over a value that cannot be copied: the macro would take it apart.
func holds(_ value: Bool) -> Bool { value }
