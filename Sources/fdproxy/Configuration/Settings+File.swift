extension Settings {
  /// Reads a configuration file and looks the names in it up. Callable again and again.
  ///
  /// - Parameters:
  ///   - path: of the file.
  ///   - overrides: what holds whatever the file says.
  /// - Throws: `SettingsError` with everything that is wrong with the file.
  static func read(
    _ path: String, _ overrides: Overrides = Overrides()
  ) throws(SettingsError) -> Settings {
    let complaints = Complaints()
    guard let node = YAMLFile(path: path).root(complaints) else {
      throw SettingsError(complaints.all, in: path)
    }
    var settings = SettingsReader(root: Section(node, complaints)).read(overrides)
    guard complaints.all.isEmpty else { throw SettingsError(complaints.all, in: path) }
    settings.configPath = path
    return settings
  }

  /// Reads the file of these settings again. Nil if there is none.
  func reread() throws(SettingsError) -> Settings? {
    guard let configPath else { return nil }
    return try Self.read(configPath, overrides)
  }
}
