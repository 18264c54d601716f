import ArgumentParser

/// What `--help` says of a flag whose value is nil unless it is written.
func help(
  _ text: String, _ valueName: String? = nil, default value: String? = nil
) -> ArgumentHelp {
  var help: ArgumentHelp = "\(text)\(value.map { " (default: \($0))" } ?? "")"
  if let valueName { help.valueName = valueName }
  return help
}

/// The same for a time. None is for ever, which is written as 0.
func help(_ text: String, default time: Duration?) -> ArgumentHelp {
  let seconds = (time ?? .zero) / .seconds(1)
  let isWhole = seconds == seconds.rounded()
  return help(text, "time", default: isWhole ? "\(Int(seconds))" : "\(seconds)")
}
