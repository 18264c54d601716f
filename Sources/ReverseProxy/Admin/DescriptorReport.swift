import FDNet
import FDPoller

/// Every descriptor of the poller in words, a line each, the suspicious ones with the reason.
///
/// What is odd for a moment is in order: a descriptor must close and somebody is still inside. So
/// each is looked at twice, with some time between, and odd is what has not changed. Nobody is
/// disturbed: the looks read atomics, and ask the kernel. Used on one loop.
final class DescriptorReport {
  struct Choice {
    /// The most lines of descriptors that are in order.
    var limit = 1000
    /// After how many seconds without a byte a connection is suspicious.
    var idleSeconds: Int?
  }

  private let proxy: HTTPProxy
  private let choice: Choice
  private let places: SocketPlaces
  private let idleMilliseconds: UInt32?
  /// The first look, at those that were not at rest.
  private let restless: [Int32: SlotLook]
  private let idleBefore: Set<FDHandle>
  /// When that was, in nanoseconds.
  private let began: UInt64
  private var idleNow: Set<FDHandle> = []
  private var next: Int32 = 0
  private var counts = (all: 0, shown: 0, suspicious: 0, parked: 0)
  private(set) var isComplete = false

  private static let numbersPerPiece = 64

  /// Looks for the first time.
  init(of proxy: HTTPProxy, _ choice: Choice) {
    self.proxy = proxy
    self.choice = choice
    let plan = proxy.plan
    places = SocketPlaces(plan, proxy.listenerAddresses, admin: proxy.adminAddresses)
    idleMilliseconds =
      choice.idleSeconds.map { UInt32($0) * 1000 } ?? plan.configuration.longestSilence
    began = EventLoop.clock()
    idleBefore = plan.pool.idleHandles
    var restless: [Int32: SlotLook] = [:]
    for fd in 0..<proxy.poller.descriptorBound {
      guard let look = proxy.poller.look(at: fd), !look.isAtRest else { continue }
      restless[fd] = look
    }
    self.restless = restless
  }

  /// Some time has passed.
  func lookAgain() { idleNow = proxy.plan.pool.idleHandles }

  /// The next lines.
  func nextPiece() -> String {
    var text = ""
    let end = min(next + Int32(Self.numbersPerPiece), proxy.poller.descriptorBound)
    while next < end {
      if let look = proxy.poller.look(at: next) { append(look, to: &text) }
      next += 1
    }
    if next >= proxy.poller.descriptorBound {
      isComplete = true
      text += summary
    }
    return text
  }

  private func append(_ look: SlotLook, to text: inout String) {
    counts.all += 1
    if look.isParked { counts.parked += 1 }
    let socket = SocketLook(look.handle.fd)
    // What the kernel says is of this descriptor only if it has been there all the time.
    let isSame = proxy.poller.look(at: look.handle.fd)?.handle == look.handle
    let place = isSame ? places.words(for: socket) : ""
    let doubts = isSame ? doubts(about: look, socket) : []
    if !doubts.isEmpty {
      counts.suspicious += 1
      text += "! \(look)\(place); suspicious: \(doubts.joined(separator: "; "))\n"
    } else if counts.shown < choice.limit {
      counts.shown += 1
      text += "  \(look)\(place)\n"
    }
  }

  private func doubts(about look: SlotLook, _ socket: SocketLook) -> [String] {
    var doubts: [String] = []
    if let oddity = restless[look.handle.fd].flatMap(look.oddity(since:)) { doubts.append(oddity) }
    if isStranded(look, socket) {
      doubts.append("it is parked, and in no list of idle connections")
    }
    if socket.isClosed { doubts.append("the number is not open any more") }
    if look.eventsWithoutProgress >= Self.manyEvents {
      doubts.append(
        "\(look.eventsWithoutProgress) events in a row, and its handler did nothing about them")
    }
    if let silence = socket.silence, let limit = idleMilliseconds, silence > limit {
      doubts.append("nothing has moved for \(silence / 1000) s")
    } else if let silence = socket.silence, socket.peerHasEnded, silence > Self.longFarewell {
      doubts.append("the peer has ended its side, and nothing has moved for \(silence / 1000) s")
    }
    return doubts
  }

  /// Whether it was parked all the time and in no list. A busy connection goes in and out of one; so
  /// only one counts on which nothing has moved since before the first look.
  private func isStranded(_ look: SlotLook, _ socket: SocketLook) -> Bool {
    guard look.isParked, let silence = socket.silence else { return false }
    let age = (EventLoop.clock() - began) / 1_000_000
    return UInt64(silence) > age + 50 && !idleBefore.contains(look.handle)
      && !idleNow.contains(look.handle)
  }

  private static let manyEvents = 1000
  /// In milliseconds.
  private static let longFarewell: UInt32 = 60_000

  private var summary: String {
    let hidden = counts.all - counts.shown - counts.suspicious
    return "\(counts.all) descriptors, \(counts.suspicious) suspicious, \(counts.parked) parked, "
      + "\(idleNow.count) idle in the pool"
      + (hidden > 0 ? "; \(hidden) more in order: all=1 shows them\n" : "\n")
  }
}

extension HTTPProxyConfiguration {
  /// After so many milliseconds without a byte somebody's timer should have ended a connection; nil
  /// if there is one without a timer.
  fileprivate var longestSilence: UInt32? {
    let deadlines = [
      timeouts.clientHeader, timeouts.clientBody, timeouts.server, timeouts.keepAlive,
      timeouts.tunnel, pool.idleTime + pool.purgeInterval,
    ]
    var longest = Duration.zero
    for deadline in deadlines {
      guard let deadline else { return nil }
      longest = max(longest, deadline)
    }
    return UInt32(clamping: longest.components.seconds * 1000 + 60_000)
  }
}
