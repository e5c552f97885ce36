import Testing
import Transport
import Wire

private func address(_ last: UInt32) -> IPAddress { IPAddress(v4: 0x0A00_0000 + last) }
private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

@Suite struct AdmissionTests {
  private let small: AdmissionRates = AdmissionRates(
    address: AdmissionRate(burst: 3, perSecond: 1), together: AdmissionRate(burst: 10, perSecond: 5))

  @Test func aBucketEmptiesAndRefills() {
    var admission = Admission(seed: 1, strangers: small)
    for _ in 0..<3 {
      #expect(admission.admit(.register, from: address(1), standing: .stranger, at: at(0)) == .admitted)
    }
    #expect(
      admission.admit(.register, from: address(1), standing: .stranger, at: at(0))
        == .addressOverQuota(.seconds(1)))
    #expect(
      admission.admit(.register, from: address(1), standing: .stranger, at: at(600))
        == .addressOverQuota(.milliseconds(400)))
    #expect(admission.admit(.register, from: address(1), standing: .stranger, at: at(1000)) == .admitted)
    #expect(admission.admit(.register, from: address(1), standing: .stranger, at: at(1000)) != .admitted)
    #expect(admission.refused(.register, .stranger) == 3)
    #expect(admission.refused(.invite, .stranger) == 0)
  }

  @Test func kindsDoNotShareTokens() {
    var admission = Admission(seed: 1, strangers: small)
    for _ in 0..<4 { _ = admission.admit(.register, from: address(1), standing: .stranger, at: at(0)) }
    #expect(admission.admit(.invite, from: address(1), standing: .stranger, at: at(0)) == .admitted)
  }

  @Test func manySourcesTogetherAreBoundedToo() {
    var admission = Admission(seed: 1, strangers: small)
    var admitted = 0
    for source in 0..<1000 {
      if admission.admit(.register, from: address(UInt32(source)), standing: .stranger, at: at(0))
        == .admitted
      {
        admitted += 1
      }
    }
    #expect(admitted == 10)
  }

  @Test func aFloodOfStrangersDoesNotTouchAStation() {
    var admission = Admission(seed: 1)
    var random = Random(seed: 7)
    for millisecond in 0..<3000 {
      for _ in 0..<20 {
        let source = IPAddress(v4: UInt32(truncatingIfNeeded: random.next()))
        _ = admission.admit(.invite, from: source, standing: .stranger, at: at(Int64(millisecond)))
      }
      if millisecond % 500 == 0 {
        let verdict = admission.admit(
          .invite, from: address(200), standing: .provisioned, at: at(Int64(millisecond)))
        #expect(verdict == .admitted)
        #expect(
          admission.admit(.invite, from: address(201), standing: .known, at: at(Int64(millisecond)))
            == .admitted)
      }
    }
    #expect(admission.refused(.invite, .stranger) > 50_000)
  }

  @Test func oneHostsIPv6AddressesShareABucket() {
    var admission = Admission(seed: 1, strangers: small)
    var admitted = 0
    for low in 0..<100 {
      let source = IPAddress(high: 0x2001_0DB8_0000_0001, low: UInt64(low))
      if admission.admit(.register, from: source, standing: .stranger, at: at(0)) == .admitted {
        admitted += 1
      }
    }
    #expect(admitted == 3)
  }

  @Test func aFullTableForgetsTheQuietFirst() {
    var roomy = small
    roomy.set(
      .register, address: AdmissionRate(burst: 3, perSecond: 1),
      together: AdmissionRate(burst: 100_000, perSecond: 100_000))
    // Four places in one set: the fifth source takes the place of the one with the fullest bucket.
    var admission = Admission(seed: 1, strangers: roomy, places: 4)
    for _ in 0..<3 { _ = admission.admit(.register, from: address(1), standing: .stranger, at: at(0)) }
    for source in 2...6 {
      _ = admission.admit(.register, from: address(UInt32(source)), standing: .stranger, at: at(0))
    }
    #expect(admission.admit(.register, from: address(1), standing: .stranger, at: at(0)) != .admitted)
  }
}
