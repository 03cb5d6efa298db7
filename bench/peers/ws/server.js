// ws 8 on Node in the usual way: a map of users, a set of sockets for each channel, one
// JSON.stringify per publication. Nothing is stored. /echo sends everything back as it came.
// Usage: node server.js PORT
const { createServer } = require('node:http');
const { WebSocket, WebSocketServer } = require('ws');

const users = new Map();
const channels = new Map();

const subscribersOf = (channel) => {
  if (!channels.has(channel)) channels.set(channel, new Set());
  return channels.get(channel);
};

const requests = {
  subscribe(socket, { channel }) {
    subscribersOf(channel).add(socket);
    socket.send(JSON.stringify({ type: 'subscribed', channel }));
  },
  publish(socket, { channel, data }) {
    const text = JSON.stringify({ type: 'message', channel, data });
    for (const subscriber of subscribersOf(channel)) {
      if (subscriber.readyState === WebSocket.OPEN) subscriber.send(text);
    }
  },
  echo(socket, { data }) {
    socket.send(JSON.stringify({ type: 'echo', data }));
  },
  direct(socket, { to, id, data }, from) {
    users.get(to)?.send(JSON.stringify({ type: 'direct', from, data }));
    socket.send(JSON.stringify({ type: 'ack', id }));
  },
};

const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on('connection', (socket, request) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  socket.on('error', () => socket.terminate());
  if (pathname === '/echo') {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    return;
  }
  const user = searchParams.get('user');
  users.set(user, socket);
  socket.on('message', (text) => {
    const message = JSON.parse(text);
    requests[message.type]?.(socket, message, user);
  });
  socket.on('close', () => {
    users.delete(user);
    for (const subscribers of channels.values()) subscribers.delete(socket);
  });
});

server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
