internal import Calls
internal import Journal
internal import MediaPlane
internal import SIP
internal import Wire

// The addresses of this host, which a lease gives late and changes as it likes.
//
// They are read again where something happens, for what is said next may carry one of them: a gateway that nobody asks
// for anything needs no timer. Calls that run keep what was agreed for them.

extension Gateway {
  /// How old what is known of them may be.
  private static let addressAge = Interval.seconds(2)

  /// Reads them again unless that was done just now.
  func freshenAddresses() {
    guard phase == .serving, let addressesRead, world.now - addressesRead >= Gateway.addressAge else {
      return
    }
    readAddresses()
  }

  /// Reads them again, and tells everybody who names them when they are others.
  func readAddresses() {
    guard phase == .serving, let house else { return }
    addressesRead = world.now
    let found = world.hostAddresses()
    guard found != addresses else { return }
    addresses = found
    log.write(
      .notice, "addresses.changed", "this machine has other addresses now",
      ["addresses": .text(found.map { "\($0)" }.joined(separator: " "))])
    sip.readdress(found)
    house.agent.configuration.locals = sip.locals
    house.gate.setAddresses(sip.locals.map(\.endpoint.address))
    house.media.addresses = mediaAddresses
    house.plane.readdress(mediaAddresses)
  }

  /// The addresses that media may use.
  var mediaAddresses: [IPAddress] {
    configuration.media.addresses.isEmpty ? addresses : configuration.media.addresses
  }
}
