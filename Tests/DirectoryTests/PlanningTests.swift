import Directory
import Testing
import Wire

@Suite struct PlanningTests {
  let building = try! directory(sample)
  let gate = Caller.station("gate-main")
  let ana = Caller.account("mobile101")

  // MARK: Who is called

  @Test func aUnitWithoutRulesRingsAllItsAccountsFor45Seconds() throws {
    let plan = try #require(building.callPlan(gate, "101"))
    #expect(plan.steps.map { $0.targets.map(\.username) } == [["panel101", "kitchen101", "mobile101"]])
    #expect(plan.steps[0].timeout == .seconds(45))
    #expect(plan.unit == "101")
    #expect(plan.station == "gate-main")
    #expect(!plan.steps[0].declineEnds && !plan.isEmergency && !plan.isPage)
  }

  @Test func anAliasCallsItsUnit() { #expect(building.callPlan(gate, "martin")?.unit == "101") }

  @Test func aNameNobodyHasIsUnknown() {
    #expect(building.refusal(gate, "999") == .unknown)
    #expect(CallRefusal.unknown.status == 404)
    #expect(building.refusal(gate, "Martin") == .unknown)
  }

  @Test func aUnitWithNothingToRingIs480() {
    #expect(building.refusal(gate, "104") == .nobody)
    #expect(CallRefusal.nobody.status == 480)
  }

  @Test func aCallToAnAccountRingsItAloneWithoutRules() throws {
    let plan = try #require(building.callPlan(gate, "web103", at: friday(23)))
    #expect(plan.steps.map { $0.targets.map(\.username) } == [["web103"]])
    #expect(plan.steps[0].timeout == .seconds(45))
    #expect(plan.unit == "103")
  }

  @Test func aCallToAnAccountKnowsOnlyItsOwnDoNotDisturb() {
    #expect(building.rings(gate, "web103", CallConditions(quietUnits: ["103"])) == [["web103"]])
    let quiet = CallConditions(quietAccounts: ["web103"])
    #expect(building.refusal(gate, "web103", quiet) == .doNotDisturb)
  }

  @Test func aKindThatDoesNotRegisterHereCannotBeRung() {
    #expect(building.refusal(gate, "provider") == .nobody)
  }

  @Test func pagingRingsTheOtherPanelsOfOnesOwnUnit() throws {
    let plan = try #require(building.callPlan(ana, "page-101"))
    #expect(plan.isPage)
    #expect(plan.steps.map { $0.targets.map(\.username) } == [["panel101", "kitchen101"]])
    #expect(building.rings(.account("panel101"), "page-martin") == [["kitchen101"]])
  }

  @Test func nobodyPagesAnotherUnitNotEvenANeighbourAGuardOrAStation() {
    for caller in [Caller.account("panel102"), .account("guard1"), gate] {
      #expect(building.refusal(caller, "page-101") == .notAllowed)
    }
    #expect(building.refusal(ana, "page-999") == .unknown)
    #expect(building.refusal(.account("panel102"), "page-102") == .nobody)
  }

  @Test func pagingRespectsDoNotDisturb() {
    #expect(
      building.rings(ana, "page-101", CallConditions(quietAccounts: ["panel101"])) == [["kitchen101"]])
    #expect(building.refusal(ana, "page-101", CallConditions(quietUnits: ["101"])) == .doNotDisturb)
  }

  @Test func starCodesSwitchTheCallersOwnDoNotDisturb() {
    #expect(building.plan(ana, dials: "*78", at: friday(1)) == .doNotDisturb("mobile101", on: true))
    #expect(building.plan(ana, dials: "*79", at: friday(1)) == .doNotDisturb("mobile101", on: false))
    #expect(building.refusal(gate, "*78") == .unknown)
  }

  // MARK: Who may call whom

  @Test func aResidentCallsItsOwnUnitAndAccountsAndIsNotRungItself() {
    #expect(building.rings(ana, "101") == [["panel101", "kitchen101"]])
    #expect(building.rings(ana, "panel101") == [["panel101"]])
  }

  @Test func aResidentCallsTheStationsOfItsDoorsOnly() throws {
    let plan = try #require(building.callPlan(ana, "intercom"))
    #expect(plan.station == "intercom")
    #expect(plan.unit == "101")
    #expect(plan.steps[0].targets[0].callee == .station("intercom"))
    #expect(building.refusal(ana, "gate-main") == .notAllowed)
    #expect(building.rings(.account("janitor"), "gate-main") == [["gate-main"]])
    #expect(building.refusal(.account("janitor"), "intercom") == .notAllowed)
  }

  @Test func everybodyMayCallAGuard() {
    for caller in [ana, gate, .account("web103"), .account("janitor"), .account("guard2")] {
      #expect(building.rings(caller, "guard1") == [["guard1"]])
    }
  }

  @Test func anotherUnitIsCalledOnlyWhereBothSayNeighbours() {
    #expect(building.rings(ana, "102") == [["panel102"]])
    #expect(building.rings(ana, "panel102") == [["panel102"]])
    #expect(building.refusal(ana, "103") == .notAllowed)
    #expect(building.refusal(ana, "panel103") == .notAllowed)
    #expect(building.refusal(.account("panel103"), "101") == .notAllowed)
    #expect(CallRefusal.notAllowed.status == 403)
  }

  @Test func guardsCallAnyUnitAndItsAccounts() {
    #expect(building.rings(.account("guard1"), "101") == [["panel101", "kitchen101", "mobile101"]])
    #expect(building.rings(.account("guard1"), "panel103") == [["panel103"]])
  }

  @Test func peopleWithoutAUnitWhoAreNoGuardsCallNoUnit() {
    #expect(building.refusal(.account("janitor"), "101") == .notAllowed)
    #expect(building.refusal(.account("janitor"), "panel101") == .notAllowed)
    #expect(building.refusal(ana, "janitor") == .notAllowed)
  }

  @Test func stationsCallUnitsAndAccountsButNoStation() {
    #expect(building.rings(gate, "janitor") == [["janitor"]])
    #expect(building.refusal(gate, "intercom") == .notAllowed)
  }

  @Test func aCallerTheDirectoryNoLongerHasMayNothing() {
    #expect(building.refusal(.account("gone"), "112") == .notAllowed)
    #expect(building.refusal(.station("gone"), "101") == .notAllowed)
  }

  // MARK: Rules

  @Test func allMatchingRulesAreStepsInFileOrder() throws {
    let plan = try #require(building.callPlan(gate, "103", at: friday(23)))
    #expect(
      plan.steps.map { $0.targets.map(\.username) } == [
        ["panel103"], ["web103", "panel102"], ["guard1", "guard2"],
      ])
    #expect(plan.steps.map(\.timeout) == [.seconds(20), .seconds(30), .seconds(45)])
    #expect(plan.steps.map(\.declineEnds) == [true, false, false])
  }

  @Test func aRuleMatchesTheCallersUsernameAndTheHour() {
    #expect(building.rings(.station("intercom"), "103") == [["guard1", "guard2"]])
    #expect(building.rings(gate, "103") == [["panel103"], ["guard1", "guard2"]])
  }

  @Test func whatLiesPastMidnightBelongsToTheStartingDay() {
    func isNight(_ time: LocalTime) -> Bool {
      building.rings(.station("intercom"), "103", at: time).count == 2
    }
    #expect(!isNight(day(20, 21, 59)))
    #expect(isNight(day(20, 22, 0)))
    #expect(isNight(day(21, 0, 0)))
    #expect(isNight(day(21, 6, 59)))
    #expect(!isNight(day(21, 7, 0)))
    #expect(!isNight(day(20, 6, 59)))
    #expect(!isNight(day(21, 22, 0)))
  }

  @Test func voicemailIsSkippedAsIfItWereNotThere() throws {
    let building = try directory(
      """
      { units: [{ number: "1", accounts: [{ username: "p", kind: "panel" }], rules: [{ action: "voicemail" }] }],
        stations: [{ username: "s" }] }
      """)
    #expect(building.rings(.station("s"), "1") == [["p"]])
  }

  @Test func noMatchingRuleRingsTheWholeUnit() throws {
    let building = try directory(
      """
      { units: [{ number: "1", accounts: [{ username: "p", kind: "panel" }, { username: "m", kind: "mobile" }],
                  rules: [{ from: "other", action: "ring", target: "m" }] }],
        stations: [{ username: "s" }] }
      """)
    #expect(building.rings(.station("s"), "1") == [["p", "m"]])
  }

  // MARK: Do not disturb, call waiting, emergencies

  @Test func aQuietDeviceIsLeftOutAndAQuietUnitPassesToTheNextStep() {
    #expect(
      building.rings(gate, "101", CallConditions(quietAccounts: ["kitchen101"])) == [
        ["panel101", "mobile101"]
      ])
    #expect(building.rings(gate, "103", CallConditions(quietUnits: ["103"])) == [["guard1", "guard2"]])
  }

  @Test func doNotDisturbEverywhereIs480() {
    #expect(building.refusal(gate, "101", CallConditions(quietUnits: ["101"])) == .doNotDisturb)
    let all = CallConditions(quietAccounts: ["panel101", "kitchen101", "mobile101"])
    #expect(building.refusal(gate, "101", all) == .doNotDisturb)
    #expect(CallRefusal.doNotDisturb.status == 480)
  }

  @Test func aGuardsOwnDoNotDisturbCountsForForwardsToo() {
    #expect(
      building.rings(.station("intercom"), "103", CallConditions(quietAccounts: ["guard1"])) == [["guard2"]])
  }

  @Test func aSecondCallMeetsTheCallWaitingOfItsUnit() {
    let busy = CallConditions(busyUnits: ["101", "102", "103"])
    #expect(building.rings(gate, "101", busy) == [["panel101", "kitchen101", "mobile101"]])
    #expect(building.refusal(gate, "102", busy) == .busy)
    #expect(CallRefusal.busy.status == 486)
    #expect(building.rings(gate, "103", at: friday(23), busy) == [["guard1", "guard2"]])
    #expect(building.callPlan(gate, "103")?.steps[0].targets[0].callWaiting == .next)
  }

  @Test func aBusyUnitWhoseStepsAllPassIs486() throws {
    let building = try directory(
      """
      { units: [{ number: "1", callWaiting: "next", accounts: [{ username: "p", kind: "panel" }] }],
        stations: [{ username: "s" }] }
      """)
    #expect(building.refusal(.station("s"), "1", CallConditions(busyUnits: ["1"])) == .busy)
  }

  @Test func emergencyNumbersGoAheadOfEverything() throws {
    let conditions = CallConditions(
      quietAccounts: ["guard1", "guard2", "panel101"], quietUnits: ["101"], busyUnits: ["101"])
    let plan = try #require(building.callPlan(gate, "112", conditions))
    #expect(plan.isEmergency)
    #expect(plan.steps.map { $0.targets.map(\.username) } == [["guard1", "guard2"]])
    #expect(building.rings(.account("janitor"), "112", conditions) == [["guard1", "guard2"]])
    #expect(
      building.rings(.account("web103"), "15", conditions) == [
        ["panel101", "kitchen101", "mobile101", "guard1"]
      ])
  }

  @Test func anEmergencyNumberWithoutTargetIs404() {
    #expect(building.refusal(gate, "18") == .emergencyWithoutTarget)
    #expect(CallRefusal.emergencyWithoutTarget.status == 404)
  }

  @Test func equalQuestionsGetEqualAnswers() {
    for dialled in ["101", "102", "103", "112", "15", "page-101", "guard1"] {
      let first = building.plan(gate, dials: dialled, at: friday(23))
      #expect(try! directory(sample).plan(gate, dials: dialled, at: friday(23)) == first)
    }
  }
}
