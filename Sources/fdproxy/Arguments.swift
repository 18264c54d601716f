public import ArgumentParser
import FDNet
public import FDPoller

// The types of the command line's values.

/// What is spoken on the proxied connections.
enum Mode: String, CaseIterable, ExpressibleByArgument {
  /// Bytes, whatever they mean.
  case tcp
}

/// How the threads share a listening address.
enum AcceptMode: String, CaseIterable, ExpressibleByArgument {
  case perLoop = "per-loop"
  case shared

  var sharing: Listener.Sharing {
    switch self {
    case .perLoop: .socketPerLoop
    case .shared: .socketPerGroup
    }
  }
}

extension Balance: ExpressibleByArgument {}
extension IOBackend: ExpressibleByArgument {}

/// A time in seconds, with decimals; 0 is none.
struct Seconds: ExpressibleByArgument, CustomStringConvertible {
  let value: Double

  /// More would be more than a year, and is rather a mistake.
  private static let longest = 31_536_000.0

  init(_ value: Double) { self.value = value }

  init?(argument: String) {
    guard let value = Double(argument), 0...Self.longest ~= value else { return nil }
    self.value = value
  }

  var duration: Duration { .seconds(value) }
  /// Nil for none.
  var limit: Duration? { value == 0 ? nil : duration }

  var description: String { value == value.rounded() ? "\(Int(value))" : "\(value)" }
  var defaultValueDescription: String { description }
}
