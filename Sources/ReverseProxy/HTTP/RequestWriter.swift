import FDHTTP
import FDNet

/// Writes a request's head as a backend gets it: what concerns the client's connection is gone, and
/// what the proxy knows about the client is added (RFC 9110, section 7.6).
struct RequestWriter {
  let plan: ProxyPlan
  /// The client as text, as X-Forwarded-For has it.
  let client: [UInt8]
  /// The line that has it alone.
  let forwardedFor: [UInt8]
  /// What it says of where the request came from is believed.
  let isTrusted: Bool
  /// The connection is not for anybody else afterwards.
  let closes: Bool

  /// - Parameter output: empty; has the head afterwards, but for Host if that is the backend's.
  /// - Returns: where Host belongs, if it is the backend's.
  func write(_ head: borrowing HTTPRequestHead, to output: HTTPOutput) -> Int? {
    output.append(head.method)
    output.append(" ")
    writeTarget(head, to: output)
    output.append(" HTTP/1.1\r\n")
    let hostOffset = writeHost(head, to: output)
    writeFields(head, to: output)
    plan.appendVia(head.minorVersion, to: output)
    if passesUpgrade(head), let upgrade = head.fields.firstIndex(of: .upgrade) {
      output.field("Upgrade", head.fields.value(at: upgrade))
      output.append("Connection: upgrade\r\n\r\n")
    } else {
      output.append(closes ? "Connection: close\r\n\r\n" : "\r\n")
    }
    return hostOffset
  }

  /// Whether the backend is asked for another protocol.
  func passesUpgrade(_ head: borrowing HTTPRequestHead) -> Bool {
    guard head.asksForUpgrade, let upgrade = head.fields.firstIndex(of: .upgrade) else {
      return false
    }
    return !Self.isHTTP2(head.fields.value(at: upgrade))
  }

  private func writeTarget(_ head: borrowing HTTPRequestHead, to output: HTTPOutput) {
    let target = head.pathAndQuery
    // The absolute form may have no path: `http://host?query`.
    if target.byteCount == 0 || target.unsafeLoad(as: UInt8.self) == UInt8(ascii: "?") {
      output.append(head.knownMethod == .options && target.byteCount == 0 ? "*" : "/")
    }
    output.append(target)
  }

  private func writeHost(_ head: borrowing HTTPRequestHead, to output: HTTPOutput) -> Int? {
    switch plan.configuration.forwarding.host {
    // A client of HTTP/1.0 may not have said where it wants to go.
    case .preserved where head.authority.byteCount == 0:
      return output.count
    case .preserved:
      output.append("Host: ")
      output.append(head.authority)
      output.append("\r\n")
    case .fixed(let host):
      output.append("Host: ")
      output.append(host)
      output.append("\r\n")
    case .backend:
      return output.count
    }
    return nil
  }

  private func writeFields(_ head: borrowing HTTPRequestHead, to output: HTTPOutput) {
    let fields = head.fields
    let (addsForwardedFor, addsForwarded) = (plan.addsForwardedFor, plan.addsForwarded)
    output.append(fields) { index in
      switch fields.name(at: index) {
      case .other: !fields.isHopByHop(at: index)
      case .host, .contentLength, .transferEncoding: false
      case .xForwardedFor where addsForwardedFor || !isTrusted: false
      case .forwarded where !isTrusted: false
      default: !fields.isHopByHop(at: index)
      }
    }
    switch head.framing {
    case .chunked: output.append("Transfer-Encoding: chunked\r\n")
    case .length(let count):
      // Zero says something where a body could have been (RFC 9110, section 8.6).
      if count > 0 || head.knownMethod.definesBody { output.field("Content-Length", count) }
    case .untilClose: break
    }
    if addsForwardedFor { writeForwardedFor(fields, to: output) }
    if addsForwarded { writeForwarded(head, to: output) }
  }

  /// The addresses that trusted proxies have noted, then the client's.
  private func writeForwardedFor(_ fields: borrowing HTTPFields, to output: HTTPOutput) {
    guard isTrusted else { return output.append(forwardedFor.span.bytes) }
    output.append("X-Forwarded-For: ")
    for index in 0..<fields.count
    where fields.name(at: index) == .xForwardedFor && !fields.isHopByHop(at: index)
      && fields.value(at: index).byteCount > 0
    {
      output.append(fields.value(at: index))
      output.append(", ")
    }
    output.append(client.span.bytes)
    output.append("\r\n")
  }

  /// RFC 7239: an element for this proxy, on a line of its own behind those of others. An IPv6
  /// address is quoted and in brackets.
  private func writeForwarded(_ head: borrowing HTTPRequestHead, to output: HTTPOutput) {
    let isIPv6 = client.contains(UInt8(ascii: ":"))
    output.append(isIPv6 ? "Forwarded: for=\"[" : "Forwarded: for=")
    output.append(client.span.bytes)
    output.append(isIPv6 ? "]\"" : "")
    if head.authority.byteCount > 0 {
      output.append(";host=\"")
      output.append(head.authority)
      output.append("\"")
    }
    output.append(";proto=http\r\n")
  }

  /// Whether an upgrade would lead past the proxy's own reading of requests: what follows `h2c`
  /// are requests as well, which nobody would look at (RFC 9113, section 3.1).
  private static func isHTTP2(_ value: borrowing RawSpan) -> Bool {
    for offset in 0..<max(0, value.byteCount - 1) {
      let first = value.unsafeLoad(fromByteOffset: offset, as: UInt8.self) | 0x20
      let second = value.unsafeLoad(fromByteOffset: offset + 1, as: UInt8.self)
      if first == UInt8(ascii: "h") && second == UInt8(ascii: "2") { return true }
    }
    return false
  }
}
