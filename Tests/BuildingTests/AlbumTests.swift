import Gateway
import Testing

@Suite struct AlbumTests {
  @Test func aSnapshotsNameIsReadBack() {
    let kept = KeptSnapshot(seconds: 1_795_210_119, call: "c1f0", moment: "ring", bytes: 3)
    #expect(kept.name == "1795210119-c1f0-ring.jpg")
    #expect(KeptSnapshot(name: kept.name, bytes: 3) == kept)
  }

  @Test(arguments: [
    "", "1-c1f0-ring", "1-c1f0.jpg", "x-c1f0-ring.jpg", "1-c1f0-ring-x.jpg", "1-../etc-ring.jpg",
    "01-c1f0-ring.jpg",
    "1-c1f0-ring.jpg.new",
  ])
  func otherFilesAreNoSnapshots(name: String) { #expect(KeptSnapshot(name: name, bytes: 1) == nil) }
}
