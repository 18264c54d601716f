import FDOwnership
import Interleave

/// A descriptor and a few threads that each do one thing to it.
struct CustodyScenario: Sendable {
  let roles: [Role]
  /// Whether several threads may be inside at once, as with a listener.
  let isShared: Bool
  /// The threads' places in the word's masks.
  let bits: [ThreadBit]
  /// Who may enter the incarnation that is there from the start: the first thread that has an event
  /// for it, or all of them. Together with the thread that inserts it if none is.
  let owners: ThreadMask
  /// Whether handlers touch plain data, in which races are found. Of what goes wrong the ledger
  /// speaks more clearly, but often later.
  let hasData: Bool

  init(_ roles: [Role], isShared: Bool, hasData: Bool = true) {
    self.roles = roles
    self.isShared = isShared
    self.hasData = hasData
    var far = 0
    bits = roles.indices.map { index in
      guard roles[index] == .farTakeover else { return ThreadBit(group: 1, index: index) }
      defer { far += 1 }
      return ThreadBit(group: 2, index: far)
    }
    let informed = roles.indices.filter { roles[$0].hasEvent }
    let places =
      isShared
      ? Set(informed).union(informed.count < 2 ? [0, 1] : [])
      : Set(informed.prefix(1)).union(informed.isEmpty && !roles.contains(.insert) ? [0] : [])
    owners = ThreadMask(rawValue: places.reduce(0) { $0 | 1 << UInt16($1) })
  }

  /// The roles, as a name: `event+delete`, `shared:event+event+delete`.
  var name: String {
    (isShared ? "shared:" : "") + roles.map(\.rawValue).joined(separator: "+")
  }

  var beginsLive: Bool { !roles.contains(.insert) }

  /// Whether threads may do more than one thing: not if that takes for ever, nor in the story of a
  /// defect.
  var hasRoomForMore: Bool { roles.count < 4 && hasData }

  /// Whether a thread that may enter the first incarnation, as one of its owners or since it has
  /// taken it over, can find that somebody else has ended it or taken it over.
  func mayBeRefused(_ thread: Int) -> Bool {
    let isOwner = owners.contains(bits[thread].mask) && bits[thread].group == 1
    return !(isOwner || roles[thread].takesOver) || !beginsLive
      || roles.indices.contains { $0 != thread && (roles[$0].ends || roles[$0].takesOver) }
  }

  /// Whether no other thread ever is inside the first incarnation, or ends it.
  func isAlone(_ thread: Int) -> Bool {
    beginsLive
      && roles.indices.allSatisfy {
        $0 == thread || roles[$0] == .staleEvent || roles[$0] == .reuse || roles[$0] == .alias
      }
  }

  /// One execution.
  ///
  /// - Parameter makeSubject: makes the custody, and names its words.
  func setUp<Subject: Custody>(_ setup: Setup, _ makeSubject: (Setup) -> Subject) {
    let descriptor = ModelDescriptor(setup, self, makeSubject(setup))
    for (thread, role) in roles.enumerated() {
      setup.thread("\(role.rawValue) \(thread)", symmetry: symmetry(thread)) {
        descriptor.act(role, thread)
      }
    }
    setup.finally { descriptor.check() }
  }

  /// Threads with the same role differ in their bits alone, and any order of the bits is as good as
  /// any other, unless one owns the descriptor and the other does not.
  private func symmetry(_ thread: Int) -> Int {
    let isOwner = owners.contains(bits[thread].mask) && bits[thread].group == 1
    return 2 * (Role.allCases.firstIndex(of: roles[thread]) ?? 0) + (isOwner ? 2 : 1)
  }
}
