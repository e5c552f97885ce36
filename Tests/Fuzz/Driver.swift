import Glibc

@_extern(c, "LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// What libFuzzer's own `main` would call; ours names the harness first and passes it on.
@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ length: Int) -> Int32 {
  unsafe Fuzz.chosen(Array(UnsafeBufferPointer(start: bytes, count: length)))
  return 0
}

/// Hands these arguments to libFuzzer, which calls the chosen harness until its time is up, and exits.
func drive(_ arguments: [String]) {
  var count = Int32(arguments.count)
  let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: arguments.count + 1)
  for (place, argument) in arguments.enumerated() { unsafe list[place] = unsafe strdup(argument) }
  unsafe list[arguments.count] = nil
  var vector: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe list
  exit(unsafe runDriver(&count, &vector) { unsafe testOneInput($0, $1) })
}
