public import ArgumentParser
public import FDNet
public import FDPoller
public import ReverseProxy

// The words that stand for values, on the command line and in a file.

/// What is spoken on the proxied connections.
enum Mode: String, CaseIterable, ExpressibleByArgument {
  /// HTTP/1.1: each request goes where it belongs.
  case http
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

extension AccessLogConfiguration.Format: ExpressibleByArgument {}
extension Balance: ExpressibleByArgument {}
extension IOBackend: ExpressibleByArgument {}
extension ReusePolicy: ExpressibleByArgument {}
