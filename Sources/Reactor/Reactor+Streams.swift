internal import CLinux
package import Wire

// Connections: listening, connecting, what comes in and what waits to leave.

extension Reactor {
  package func listen(_ local: Endpoint) throws(NetworkFailure) -> SocketID {
    let number = clinux_tcp_listen(local.raw())
    guard number >= 0 else { throw NetworkFailure(errno: -number) }
    let descriptor = Descriptor(number)
    let bound = endpoint(of: descriptor) ?? local
    return try register(
      .listener(Listener(descriptor: descriptor, local: bound, path: nil, group: -1)), number,
      Happening.readable)
  }

  package func listen(path: String, mode: UInt32, group: String?) throws(NetworkFailure) -> SocketID {
    let number = unsafe clinux_unix_listen(path, mode, group)
    guard number >= 0 else { throw NetworkFailure(errno: -number) }
    let groupNumber = if let group { unsafe clinux_group(group) } else { Int64(-1) }
    return try register(
      .listener(
        Listener(
          descriptor: Descriptor(number), local: Endpoint(.anyV6, port: 0), path: path, group: groupNumber)),
      number, Happening.readable)
  }

  package func connect(_ remote: Endpoint) throws(NetworkFailure) -> SocketID {
    var isPending: Int32 = 0
    let number = unsafe clinux_tcp_connect(remote.raw(), &isPending)
    guard number >= 0 else { throw NetworkFailure(errno: -number) }
    return try adopt(Descriptor(number), .connecting)
  }

  /// Connects to a local listener: what the command line does; here for tests of the gateway's own end.
  package func connect(path: String) throws(NetworkFailure) -> SocketID {
    let number = unsafe clinux_unix_connect(path)
    guard number >= 0 else { throw NetworkFailure(errno: -number) }
    return try adopt(Descriptor(number), .connecting)
  }

  package func local(of socket: SocketID) -> Endpoint? {
    switch sockets[socket.handle] {
    case .datagram(let own): own.local
    case .listener(let own): own.local
    case .stream(let own): own.phase == .connecting || own.phase == .open ? own.local : nil
    case .ear, nil: nil
    }
  }

  package func write(_ bytes: Span<UInt8>, on stream: SocketID) -> Bool {
    guard let own = ownStream(stream) else { return false }
    guard own.unsent + bytes.count <= options.streamQueueLimit else {
      own.owesDrained = true
      return false
    }
    unsafe bytes.withUnsafeBufferPointer { unsafe own.queue.append(contentsOf: $0) }
    if !own.isDirty {
      own.isDirty = true
      dirtyStreams.append(stream.handle)
    }
    return true
  }

  package func unsent(on stream: SocketID) -> Int {
    guard let own = ownStream(stream) else { return 0 }
    if own.unsent > 0 { own.owesDrained = true }
    return own.unsent
  }

  package func setReading(_ reading: Bool, on stream: SocketID) {
    guard let own = ownStream(stream), own.isReading != reading else { return }
    own.isReading = reading
    watch(own, stream)
  }

  package func close(_ socket: SocketID, flushing: Bool) {
    guard case .stream(let own) = sockets[socket.handle] else {
      if case .datagram(let own) = sockets[socket.handle], own.head >= 0 { sendDatagrams() }
      drop(socket)
      return
    }
    guard own.phase == .open, flushing else {
      if own.phase == .connecting || own.phase == .open { drop(socket) }
      return
    }
    own.phase = .flushing
    own.deadline = timers.arm(now + options.flushTime, token: socket.handle.raw)
    if !own.isDirty {
      own.isDirty = true
      dirtyStreams.append(socket.handle)
    }
    watch(own, socket)
  }

  func serve(_ stream: Stream, _ id: SocketID, _ happened: UInt32, _ resident: any Resident) {
    if stream.phase == .connecting {
      guard happened & ~Happening.readable != 0 else { return }
      let failure = clinux_socket_error(stream.descriptor.number)
      guard failure == 0 else {
        drop(id)
        return resident.closed(id, NetworkFailure(errno: failure))
      }
      stream.phase = .open
      stream.local = endpoint(of: stream.descriptor) ?? stream.local
      watch(stream, id)
      resident.connected(id)
      // The resident may have written or closed; the rest comes with the next event.
      return
    }
    if happened & Happening.writable != 0 { flush(stream, id) }
    guard sockets.contains(id.handle) else { return }
    if happened & Happening.readable != 0, stream.phase == .lingering || stream.isReading {
      read(stream, id, resident)
    } else if happened & (Happening.failed | Happening.hungUp) != 0 {
      let failure = clinux_socket_error(stream.descriptor.number)
      if failure == 0, stream.phase == .open, !stream.isReading {
        // The end waits behind bytes that nobody wants yet: not watched until they are.
        clinux_epoll_remove(epoll.number, stream.descriptor.number)
        stream.watched = nil
      } else {
        end(stream, id, failure == 0 ? .closed : NetworkFailure(errno: failure), resident)
      }
    }
  }

  func read(_ stream: Stream, _ id: SocketID, _ resident: any Resident) {
    let count = unsafe readBuffer.withUnsafeMutableBufferPointer {
      unsafe clinux_read(stream.descriptor.number, $0.baseAddress!, $0.count)
    }
    if count == -Int64(Errno.again) { return }
    guard count > 0 else {
      return end(stream, id, count == 0 ? .closed : NetworkFailure(errno: Int32(-count)), resident)
    }
    guard stream.phase == .open else { return }
    // Taken out of the loop while it is lent, so that nobody else can write into it.
    var lent: [UInt8] = []
    swap(&lent, &readBuffer)
    resident.received(lent.span.extracting(first: Int(count)), onStream: id)
    swap(&lent, &readBuffer)
  }

  /// A stream has ended by itself: told to whoever still holds it.
  func end(_ stream: Stream, _ id: SocketID, _ failure: NetworkFailure, _ resident: any Resident) {
    let isOwn = stream.phase == .open
    drop(id)
    if isOwn { resident.closed(id, failure) }
  }

  func flush(_ stream: Stream, _ id: SocketID) {
    if let failure = stream.flush() {
      if stream.phase == .open {
        // Told at the start of the next turn; until then nothing more is asked of it.
        clinux_epoll_remove(epoll.number, stream.descriptor.number)
        stream.watched = nil
        news.append(.closed(id, failure))
      } else {
        drop(id)
      }
      return
    }
    if stream.unsent == 0, stream.phase == .flushing {
      clinux_shutdown_write(stream.descriptor.number)
      stream.phase = .lingering
      timers.cancel(stream.deadline)
      stream.deadline = timers.arm(now + options.lingerTime, token: id.handle.raw)
    } else if stream.unsent == 0, stream.owesDrained {
      stream.owesDrained = false
      news.append(.drained(id))
    }
    watch(stream, id)
  }

  func accept(_ listener: Listener, _ id: SocketID, _ resident: any Resident) {
    for _ in 0..<Reactor.acceptsPerTurn {
      var remote = clinux_endpoint()
      let number = unsafe clinux_accept(listener.descriptor.number, &remote)
      if number < 0 {
        if -number == Errno.tooManyFiles || -number == Errno.tooManyOwnFiles {
          guard turnAway(from: listener, id) else { return }
          continue
        }
        // A guest that left again before we looked is no reason to stop.
        if -number == Errno.aborted { continue }
        return
      }
      let connection = Descriptor(number)
      let peer = listener.path == nil ? nil : listener.peer(of: connection)
      guard let stream = try? adopt(connection, .open) else {
        refusedForDescriptors += 1
        continue
      }
      resident.accepted(stream, on: id, from: Endpoint(remote), peer: peer)
      guard sockets.contains(id.handle) else { return }
    }
  }

  /// Uses the descriptor held back to take a guest in and show it out. False when even that cannot be had: the
  /// listener then rests a while.
  func turnAway(from listener: Listener, _ id: SocketID) -> Bool {
    reserve = nil
    var remote = clinux_endpoint()
    let number = unsafe clinux_accept(listener.descriptor.number, &remote)
    if number >= 0 {
      _ = Descriptor(number)
      refusedForDescriptors += 1
    }
    let again = clinux_open_reserve()
    if again >= 0 { reserve = Descriptor(again) }
    guard again >= 0, number >= 0 else {
      if number == -Errno.again, again >= 0 { return false }
      listener.isPaused = true
      clinux_epoll_remove(epoll.number, listener.descriptor.number)
      _ = timers.arm(now + options.acceptRest, token: id.handle.raw)
      return false
    }
    return true
  }
}
