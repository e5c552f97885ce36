import API
import HTTP
import JSON
import Testing
import Wire

@Suite struct APIValueTests {
  /// What was written is read back, and no member is forgotten by the reader: strictly read, every key is known.
  func survives<Value: APIValue>(_ value: Value) throws {
    let text = value.json.bytes()
    #expect(try Value(reply: text) == value)
    #expect(try Value(request: text) == value)
    #expect(try Value.list(reply: Array("[".utf8) + text + Array("]".utf8)) == [value])
    #expect(!value.json.text().contains("null"), "an example has every member")
  }

  @Test func everyValueIsReadBackAsItWasWritten() throws {
    try survives(ContactView.example)
    try survives(CredentialView.example)
    try survives(AccountView.example)
    try survives(UnitView.example)
    try survives(StationView.example)
    try survives(CameraView.example)
    try survives(DoorView.example)
    try survives(BanView.example)
    try survives(CheckView.example)
    try survives(LegView.example)
    try survives(CallView.example)
    try survives(SnapshotView.example)
    try survives(ApplyReply.example)
    try survives(EnrollRequest.example)
    try survives(SIPCredential.example)
    try survives(RevokeReply.example)
    try survives(DoNotDisturb.example)
    try survives(OpenReply.example)
    try survives(RingRequest.example)
    try survives(RingTicket.example)
    try survives(RingView.example)
    try survives(RingReport.example)
    try survives(StatusView.example)
    try survives(HealthView.example)
    try survives(Maintenance.example)
    try survives(RestoreReply.example)
    #expect(try EventView(reply: EventView.example.json.bytes()) == .example)
    #expect(try Problem(reply: Problem.example.json.bytes()) == .example)
  }

  @Test func absentThingsAreReadAsNil() throws {
    var call = CallView.example
    call.unit = nil
    call.answered = nil
    call.ended = nil
    call.end = nil
    call.legs = [LegView(account: "a", state: "trying")]
    #expect(try CallView(reply: call.json.bytes()) == call)
    var status = StatusView.example
    status.disk = nil
    status.temperature = nil
    #expect(try StatusView(reply: status.json.bytes()) == status)
  }

  /// The keys that people and scripts rely on, letter for letter.
  @Test func theFixedKeysAreThere() {
    func keys(_ value: JSONValue) -> Set<String> {
      guard case .object(let fields) = value else { return [] }
      return Set(fields.map(\.key))
    }
    func has(_ value: JSONValue, _ names: String) {
      #expect(keys(value).isSuperset(of: names.split(separator: ",").map(String.init)))
    }
    has(AccountView.example.json, "username,kind,unit,registered,contacts,dnd")
    has(ContactView.example.json, "uri,transport,latency,expires")
    has(DoorView.example.json, "id,state,lastResult,lastAt")
    has(CallView.example.json, "id,from,target,unit,started,answered,ended,end,legs")
    has(
      LegView.example.json, "account,state,code,codec,packetsIn,packetsOut,lost,jitter,foreign,roundTrip,mos")
    has(EventView.example.json, "id,type,at")
    has(RingReport.example.json, "answered,by,legs,audio")
    has(RingReport.Audio.example.json, "sent,received")
    has(OpenReply.example.json, "door,result,reason")
    has(SIPCredential.example.json, "username,secret,domain")
    has(HealthView.example.json, "status,components")
    has(HealthView.Component.example.json, "name,status,detail")
    #expect(
      CallEnd.allCases.map(\.rawValue)
        == ["answered", "noanswer", "busy", "declined", "cancelled", "unreachable", "refused", "failed"])
  }

  @Test func timesAreRFC3339InUTC() {
    #expect(BanView.example.json["since"] == "2026-11-20T18:40:00.000Z")
  }

  @Test func aRequestWithAnUnknownKeyIsRefusedAndAReplyIsNot() throws {
    let text = Array(#"{"dnd":true,"dnb":false}"#.utf8)
    #expect(try DoNotDisturb(reply: text) == DoNotDisturb(dnd: true))
    let fault = #expect(throws: APIFault.self) { try DoNotDisturb(request: text) }
    #expect(fault?.errors.first?.hint == "did you mean \"dnd\"?")
  }

  @Test(arguments: [#"[]"#, #"{"dnd":1}"#, #"{}"#, #""#, #"{"dnd":true"#, "{'dnd':true}"])
  func aRequestThatIsNotWhatItShouldBeIsRefused(_ text: String) {
    #expect(throws: APIFault.self) { try DoNotDisturb(request: Array(text.utf8)) }
  }

  @Test func aRequestWithoutBodyTakesTheDefaults() throws {
    #expect(try EnrollRequest(request: []) == EnrollRequest(format: .sip, replace: false))
  }

  @Test func aSecretIsNotDescribed() {
    #expect(!"\(SIPCredential.example)".contains(SIPCredential.example.secret))
    #expect(!"\(RingTicket.example)".contains(RingTicket.example.secret))
  }
}

@Suite struct APIOperationTests {
  @Test func noTwoOperationsShareAMethodAndPath() {
    let names = APIOperation.allCases.map { "\($0.method.name) \($0.path)" }
    #expect(Set(names).count == names.count)
    for operation in APIOperation.allCases { #expect(operation.path.hasPrefix("/api/v1/")) }
  }

  @Test func parametersAreEscapedIntoThePath() {
    #expect(APIOperation.unitDND.target(["4/01 a"]) == "/api/v1/units/4%2F01%20a/dnd")
    #expect(APIOperation.revoke.target(["a", "7"]) == "/api/v1/accounts/a/credentials/7")
    #expect(
      APIOperation.applyDirectory.target(query: [("dryRun", "true"), ("file", "a&b.json5")])
        == "/api/v1/directory?dryRun=true&file=a%26b.json5")
  }

  @Test func pathsThatTheInterfaceFixesAreThere() {
    let names = Set(APIOperation.allCases.map { "\($0.method.name) \($0.path)" })
    for fixed in [
      "GET /api/v1/openapi.json", "GET /api/v1/events", "POST /api/v1/doors/{id}/open",
      "PUT /api/v1/accounts/{name}/dnd", "PUT /api/v1/units/{number}/dnd",
    ] { #expect(names.contains(fixed)) }
  }
}
