// Whom we compare ourselves with.

extension Subject {
  private static func floor(
    _ id: String, _ label: String, _ program: String, backend: String? = nil,
    after: [String] = []
  ) -> Subject {
    Subject(id: id, label: label, kind: .floor, program: program, backend: backend) {
      (subject, place) throws(Failure) in
      ["\(place.port)", "\(subject.threads)"] + after + place.backendPorts.map { "\($0)" }
    }
  }

  /// Mode 1: one thread submits and does the kernel's part of the work, receives that repeat, a ring
  /// of buffers.
  static let epollEcho = floor("c-epoll", "C, epoll", "epoll-echo")
  static let uringEcho = floor("c-uring", "C, io_uring", "uring-echo", after: ["1"])
  static let epollHTTP = floor("c-epoll", "C, epoll, no parsing", "epoll-http")
  static let uringHTTP = floor("c-uring", "C, io_uring, no parsing", "uring-http", after: ["1"])
  static let epollProxy = floor("c-epoll", "C, epoll", "epoll-l4", backend: "epoll-echo")

  static let libuv = Subject(
    id: "libuv", label: "libuv", kind: .peer, program: "libuv-echo"
  ) { (_, place) throws(Failure) in ["\(place.port)"] }

  static func nio(_ work: String, _ face: Face) -> Subject {
    Subject(
      id: "nio-\(face)",
      label: face == .handler ? "SwiftNIO ChannelHandler" : "SwiftNIO NIOAsyncChannel",
      kind: .peer, program: "nio-server"
    ) { (subject, place) throws(Failure) in
      [work, "\(place.port)", "--face", face.rawValue, "--threads", "\(subject.threads)"]
    }
  }

  static let hummingbird = Subject(
    id: "hummingbird", label: "Hummingbird", kind: .peer, program: "hummingbird-server"
  ) { subject, place in ["\(place.port)", "--threads", "\(subject.threads)"] }
}

// MARK: - nginx

extension Subject {
  private static func nginx(backend: String?, _ location: @escaping @Sendable (Place) -> String)
    -> Subject
  {
    Subject(
      id: "nginx", label: "nginx", kind: .peer, program: "nginx", backend: backend
    ) { (subject, place) throws(Failure) in
      let servers = place.backendPorts.map { "server 127.0.0.1:\($0);" }.joined(separator: " ")
      let upstream =
        servers.isEmpty
        ? ""
        : "upstream backend { \(servers) keepalive 1024; keepalive_requests 1000000000; }"
      let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
        "\($0)_temp_path \(place.folder)/nginx-\($0);\n"
      }.joined()
      let path = try place.write(
        "nginx.conf",
        """
        daemon off;
        worker_processes \(subject.threads);
                pid \(place.folder)/\(place.port)-nginx.pid;
        error_log stderr error;
        events { worker_connections \(DescriptorLimit.current - 50); }
        http {
          access_log off;
          default_type text/plain;
          keepalive_timeout 1h;
          keepalive_requests 1000000000;
          \(folders)
          \(upstream)
          server {
            listen 127.0.0.1:\(place.port) reuseport backlog=4096;
            location / { \(location(place)) }
          }
        }

        """)
      return ["-p", place.folder, "-e", "stderr", "-c", path]
    }
  }

  static let nginxHTTP = nginx(backend: nil) { _ in "return 200 \"Hello, World!\";" }

  static let nginxProxy = nginx(backend: "epoll-http") { _ in
    """
    proxy_pass http://backend;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    """
  }
}

// MARK: - HAProxy

extension Subject {
  /// - Parameter mode: http or tcp.
  static func haproxy(_ mode: String) -> Subject {
    Subject(
      id: "haproxy", label: "HAProxy", kind: .peer, program: "haproxy",
      backend: mode == "tcp" ? "epoll-echo" : "epoll-http"
    ) { (subject, place) throws(Failure) in
      let servers = place.backendPorts.enumerated().map {
        "  server s\($0) 127.0.0.1:\($1)\n"
      }.joined()
      let path = try place.write(
        "haproxy.cfg",
        """
        global
          nbthread \(subject.threads)
          maxconn \((DescriptorLimit.current - 200) / 2)
        defaults
          mode \(mode)
          timeout connect 5s
          timeout client 1h
          timeout server 1h
        \(mode == "http" ? "  timeout http-keep-alive 1h\n  http-reuse always" : "")
        frontend clients
          bind 127.0.0.1:\(place.port)
          default_backend servers
        backend servers
        \(servers)

        """)
      return ["-db", "-q", "-f", path]
    }
  }
}
