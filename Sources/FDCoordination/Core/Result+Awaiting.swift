extension Result where Success: Sendable, Failure == any Error {
  /// What an operation comes to.
  package init(awaiting operation: () async throws -> Success) async {
    do { self = .success(try await operation()) } catch { self = .failure(error) }
  }
}
