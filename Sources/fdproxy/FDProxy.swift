import ArgumentParser
import FDPoller
import Glibc

/// The command line: `fdproxy [serve] …` and `fdproxy demo`.
struct FDProxy: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fdproxy",
    abstract: "A reverse proxy whose threads share and hand over their connections.",
    usage: """
      fdproxy --listen ADDRESS --backend ADDRESS [--backend ADDRESS ...] [OPTION ...]
      fdproxy --config FILE [--check]
      fdproxy demo [--once]
      """,
    discussion: "The options of a proxy are listed by: fdproxy serve --help",
    subcommands: [Serve.self, Demo.self],
    defaultSubcommand: Serve.self)
}

/// Why the program ends, in one line for whoever started it.
struct Failure: Error, CustomStringConvertible {
  let description: String
  /// 2 if the command line has to change, 1 for anything else.
  let exitCode: Int32

  static func usage(_ text: String) -> Failure { Failure(description: text, exitCode: 2) }
  static func runtime(_ text: String) -> Failure { Failure(description: text, exitCode: 1) }
}

extension FDProxy {
  /// Says on one line what was wrong, or prints the help that was asked for, and ends the process.
  static func end(with error: any Error) -> Never {
    switch error {
    case let failure as Failure:
      complain(failure.description, failure.exitCode)
    case let error as SettingsError:
      // Its lines begin with the place in the file, as those of a compiler.
      StandardStream.error.write("\(error)\n")
      Glibc.exit(error.exitCode)
    case PollerError.invalidConfiguration(let text):
      complain(text, 2)
    case let code as ExitCode:
      Glibc.exit(code.rawValue)
    default:
      break
    }
    switch exitCode(for: error) {
    case .success:
      StandardStream.output.write(message(for: error) + "\n")
      Glibc.exit(0)
    case .validationFailure:
      complain("\(message(for: error)) (see fdproxy serve --help)", 2)
    default:
      complain("\(error)", 1)
    }
  }

  private static func complain(_ text: String, _ code: Int32) -> Never {
    StandardStream.error.write("fdproxy: \(text.split(separator: "\n").joined(separator: " "))\n")
    Glibc.exit(code)
  }
}
