// Bun's own server and its native topics, which are uWebSockets underneath: server.publish frames
// a message once and merges what one turn of the loop sends to a socket. Nothing is stored.
// /echo sends everything back as it came. Usage: bun server.js PORT
const users = new Map();

const requests = {
  subscribe(socket, { channel }) {
    socket.subscribe(channel);
    socket.send(JSON.stringify({ type: 'subscribed', channel }));
  },
  publish(socket, { channel, data }) {
    server.publish(channel, JSON.stringify({ type: 'message', channel, data }));
  },
  echo(socket, { data }) {
    socket.send(JSON.stringify({ type: 'echo', data }));
  },
  direct(socket, { to, id, data }) {
    users.get(to)?.send(JSON.stringify({ type: 'direct', from: socket.data.user, data }));
    socket.send(JSON.stringify({ type: 'ack', id }));
  },
};

const server = Bun.serve({
  port: Number(process.argv[2]),
  hostname: '127.0.0.1',
  fetch(request, server) {
    const { pathname, searchParams } = new URL(request.url);
    const data = { user: searchParams.get('user'), isEcho: pathname === '/echo' };
    return server.upgrade(request, { data }) ? undefined : new Response('', { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    // What a closed loop has in flight fits, so that nothing is dropped.
    backpressureLimit: 64 * 1024 * 1024,
    idleTimeout: 960,
    open(socket) {
      if (!socket.data.isEcho) users.set(socket.data.user, socket);
    },
    message(socket, message) {
      if (socket.data.isEcho) {
        socket.send(message);
      } else {
        const request = JSON.parse(message);
        requests[request.type]?.(socket, request);
      }
    },
    close(socket) {
      users.delete(socket.data.user);
    },
  },
});
