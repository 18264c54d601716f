import ArgumentParser
import FDPoller
import Glibc

/// The command line: `fdtunnel server …` and `fdtunnel agent …`.
struct FDTunnel: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fdtunnel",
    abstract: "Carries clients to services behind NAT, over one connection that an agent dials.",
    usage: """
      fdtunnel server --agents ADDRESS --clients [ID[/SERVICE]=]ADDRESS --token-file FILE
      fdtunnel agent --server ADDRESS --id ID --token-file FILE --service [NAME=]ADDRESS
      """,
    subcommands: [ServerCommand.self, AgentCommand.self])
}

/// Why the program ends, in one line for whoever started it.
struct Failure: Error, CustomStringConvertible {
  let description: String
  /// 2 if the command line has to change, 1 for anything else.
  let exitCode: Int32

  static func usage(_ text: String) -> Failure { Failure(description: text, exitCode: 2) }
  static func runtime(_ text: String) -> Failure { Failure(description: text, exitCode: 1) }
}

extension FDTunnel {
  /// Says on one line what was wrong, or prints the help that was asked for, and ends the process.
  static func end(with error: any Error) -> Never {
    switch error {
    case let failure as Failure: complain(failure.description, failure.exitCode)
    case PollerError.invalidConfiguration(let text): complain(text, 2)
    default: break
    }
    switch exitCode(for: error) {
    case .success:
      StandardStream.output.write(message(for: error) + "\n")
      Glibc.exit(0)
    case .validationFailure: complain("\(message(for: error)) (see fdtunnel --help)", 2)
    default: complain("\(error)", 1)
    }
  }

  private static func complain(_ text: String, _ code: Int32) -> Never {
    let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
    StandardStream.error.write("fdtunnel: \(line)\n")
    Glibc.exit(code)
  }
}
