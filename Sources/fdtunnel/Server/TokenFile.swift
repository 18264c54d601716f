/// One token for all agents, in a file that is read anew for each check, so that it can be changed
/// while the server runs.
struct TokenFile: Authority {
  private let path: String

  /// - Throws: `Failure` if there is no token in the file.
  init(_ path: String) throws(Failure) {
    self.path = path
    _ = try AgentToken.read(path)
  }

  func check(_ credential: Credential) async throws {
    guard try AgentToken.read(path).matches(credential.token) else { throw TokenRefused() }
  }
}
