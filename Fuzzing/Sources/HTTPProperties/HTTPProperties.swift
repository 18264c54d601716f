package import FDHTTP

/// What holds whatever the bytes are.
package enum HTTPProperties {
  /// What input is taken for, one after the other.
  package static let kinds: [Reading.Kind] = [
    .requests, .responses(answering: .get), .responses(answering: .head), .body(.chunked),
  ]

  /// Limits that short input reaches.
  package static let tightLimits: HTTPLimits = {
    var limits = HTTPLimits()
    limits.startLineBytes = 48
    limits.headBytes = 160
    limits.fields = 6
    return limits
  }()

  /// - Parameters:
  ///   - bytes: anything.
  ///   - everyCut: looks at every way to cut them in two, which takes a while for long ones.
  /// - Returns: what is broken; nil if all holds.
  package static func defect(in bytes: [UInt8], everyCut: Bool) -> String? {
    let halves = everyCut ? Array(0...bytes.count) : someCuts(bytes)
    // No more than some hundred arrivals: each looks at a head from its beginning.
    let step = max(1, bytes.count / 256)
    let crumbs = Array(stride(from: step, to: bytes.count, by: step))
    for kind in kinds {
      for limits in [HTTPLimits(), tightLimits] {
        let whole = Reading(bytes, as: kind, limits: limits)
        for cuts in halves.map({ [$0] }) + [crumbs] {
          let cut = Reading(bytes, as: kind, limits: limits, cuts: cuts)
          guard cut == whole else {
            return "\(kind) cut at \(cuts): \(cut)\nin one piece: \(whole)"
          }
        }
        for message in whole.messages where message.isComplete {
          if let defect = defect(of: message, kind) { return defect }
        }
      }
    }
    return nil
  }

  /// A message that is written anew is read as the same message, and as one.
  private static func defect(of message: Message, _ kind: Reading.Kind) -> String? {
    let bytes = message.canonical(as: kind)
    var limits = HTTPLimits()
    limits.startLineBytes = 1 << 20
    limits.headBytes = 1 << 20
    let again = Reading(bytes, as: kind, limits: limits)
    guard again.outcome == .wantsMore, again.messages.count == 1 else {
      return "\(kind), written anew: \(again.outcome), \(again.messages.count) messages"
    }
    var (one, other) = (message, again.messages[0])
    (one.headCount, other.headCount) = (0, 0)
    return one == other ? nil : "\(kind): \(one)\nwritten anew: \(other)"
  }

  /// A few places that depend on the bytes alone.
  private static func someCuts(_ bytes: [UInt8]) -> [Int] {
    var state = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    return (0..<4).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % (bytes.count + 1)
    }
  }
}
