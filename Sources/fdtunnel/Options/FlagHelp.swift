import ArgumentParser

/// What `--help` says of a flag.
func help(_ text: String, _ valueName: String) -> ArgumentHelp {
  ArgumentHelp("\(text)", valueName: valueName)
}
