import Crypto
import Testing
import Wire

@Suite struct DigestTests {
  @Test func digestsAreThoseOfTheStandards() {
    #expect(ASCII.hex(Digest.md5([])) == "d41d8cd98f00b204e9800998ecf8427e")
    #expect(ASCII.hex(Digest.md5(Array("abc".utf8))) == "900150983cd24fb0d6963f7d28e17f72")
    #expect(ASCII.hex(Digest.sha1(Array("abc".utf8))) == "a9993e364706816aba3e25717850c26c9cd0d89d")
    #expect(
      ASCII.hex(Digest.sha256(Array("abc".utf8)))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      ASCII.hex(Digest.sha256([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }

  @Test func digestsInTurnDoNotDisturbEachOther() {
    for _ in 0..<3 {
      let md5 = Digest.md5(Array("abc".utf8))
      _ = Digest.sha256(Array("other".utf8))
      #expect(Digest.md5(Array("abc".utf8)) == md5)
    }
  }

  @Test func theKeyedHashIsThatOfRFC4231() {
    // Test cases 2 and 6 (a key longer than a block).
    #expect(
      ASCII.hex(Digest.hmacSHA256(key: Array("Jefe".utf8), Array("what do ya want for nothing?".utf8)))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(
      ASCII.hex(
        Digest.hmacSHA256(
          key: Array(repeating: 0xAA, count: 131),
          Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)))
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
  }

  @Test func comparisonLooksAtEveryByte() {
    #expect(Digest.areEqual([1, 2, 3], [1, 2, 3]))
    #expect(!Digest.areEqual([1, 2, 3], [1, 2, 4]))
    #expect(!Digest.areEqual([0, 2, 3], [1, 2, 3]))
    #expect(!Digest.areEqual([1, 2], [1, 2, 3]))
  }
}

@Suite struct KeyWrapTests {
  private let key = Array(UInt8(0)..<32)
  private let nonce = Array(UInt8(100)..<112)

  @Test func aSealedSecretOpensWithItsKeyAndLabelOnly() throws {
    let wrap = try #require(KeyWrap(deviceKey: key))
    let secret = Array("5f4dcc3b5aa765d61d8327deb882cf99".utf8)
    let sealed = wrap.seal(secret, label: "credential:7", nonce: nonce)
    #expect(sealed.count == secret.count + 29)
    #expect(wrap.open(sealed, label: "credential:7") == secret)
    #expect(wrap.open(sealed, label: "credential:8") == nil)
    let other = try #require(KeyWrap(deviceKey: Array(UInt8(1)..<33)))
    #expect(other.open(sealed, label: "credential:7") == nil)
  }

  @Test func anyFlippedBitIsNoticed() throws {
    let wrap = try #require(KeyWrap(deviceKey: key))
    let sealed = wrap.seal([1, 2, 3], label: "x", nonce: nonce)
    for index in sealed.indices {
      var bent = sealed
      bent[index] ^= 1
      #expect(wrap.open(bent, label: "x") == nil)
    }
    #expect(wrap.open(Array(sealed.dropLast()), label: "x") == nil)
    #expect(wrap.open([], label: "x") == nil)
  }

  @Test func anEmptySecretIsASecretToo() throws {
    let wrap = try #require(KeyWrap(deviceKey: key))
    #expect(wrap.open(wrap.seal([], label: "", nonce: nonce), label: "") == [])
    #expect(KeyWrap(deviceKey: [1, 2, 3]) == nil)
  }
}
