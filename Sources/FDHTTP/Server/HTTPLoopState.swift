import FDNet
import FDPoller
import Glibc

/// What the connections of one loop share. Used on the loop's thread, but for the counts.
package final class HTTPLoopState: @unchecked Sendable {
  /// How clients are treated, from the next head on.
  @exclusivity(unchecked) private(set) var settings: HTTPServerSettings
  @exclusivity(unchecked) private(set) var timeouts: Timeouts
  @exclusivity(unchecked) package private(set) var reader: HTTPHeadReader
  package let output = HTTPOutput(capacity: 128 << 10)
  /// The connection whose answers are held back in `output` until its event is over.
  @exclusivity(unchecked) var holder: HTTPServerConnection?
  private(set) var first: HTTPServerConnection?
  let counts = HTTPCounts()

  /// In nanoseconds; nil is for ever.
  struct Timeouts {
    let head, body, keepAlive: UInt64?

    init(_ settings: HTTPServerSettings) {
      head = settings.headTimeout?.wholeNanoseconds
      body = settings.bodyTimeout?.wholeNanoseconds
      keepAlive = settings.keepAliveTimeout?.wholeNanoseconds
    }
  }

  init(_ settings: HTTPServerSettings) {
    self.settings = settings
    timeouts = Timeouts(settings)
    reader = HTTPHeadReader(limits: settings.limits)
  }

  /// No head is being looked at.
  func apply(_ settings: HTTPServerSettings) {
    self.settings = settings
    timeouts = Timeouts(settings)
    reader = HTTPHeadReader(limits: settings.limits)
  }

  // MARK: The list of connections

  func link(_ connection: HTTPServerConnection) {
    connection.isLinked = true
    connection.next = first
    connection.previous = nil
    first?.previous = connection
    first = connection
    counts.connections.add(1)
  }

  func unlink(_ connection: HTTPServerConnection) {
    guard connection.isLinked else { return }
    connection.isLinked = false
    if let previous = connection.previous {
      previous.next = connection.next
    } else {
      first = connection.next
    }
    connection.next?.previous = connection.previous
    (connection.next, connection.previous) = (nil, nil)
    counts.connections.add(-1)
  }

  /// The connections of the loop at this moment.
  var connections: [HTTPServerConnection] {
    var connections: [HTTPServerConnection] = []
    var next = first
    while let connection = next {
      connections.append(connection)
      next = connection.next
    }
    return connections
  }

  // MARK: The date

  @exclusivity(unchecked) private var date: (second: UInt64, text: [UInt8]) = (.max, [])

  /// Adds the field Date (RFC 9110, section 6.6.1), put into words once a second.
  func appendDate(at nanoseconds: UInt64) {
    let second = nanoseconds / 1_000_000_000
    if date.second != second { date = (second, Self.dateField()) }
    let text = date.text
    output.append(text.span.bytes)
  }

  private static func dateField() -> [UInt8] {
    var now = time(nil)
    var parts = tm()
    gmtime_r(&now, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let day = "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)])"
    let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    return Array("Date: \(day) \(parts.tm_year + 1900) \(clock) GMT\r\n".utf8)
  }
}

/// What one loop has counted: it alone writes, anybody reads.
final class HTTPCounts: Sendable {
  let connections = LoopCount()
  let requests = LoopCount()
  let refused = LoopCount()
  let timeouts = LoopCount()
  let cancelled = LoopCount()
  let moves = LoopCount()
}
