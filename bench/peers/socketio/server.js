// Socket.IO 4.8 on the WebSocket transport, with a room per user; nothing is stored.
// Usage: node server.js PORT
const { createServer } = require('node:http');
const { Server } = require('socket.io');

const http = createServer();
const io = new Server(http, { transports: ['websocket'], serveClient: false });

io.on('connection', (socket) => {
  const { user } = socket.handshake.query;
  socket.join(`user:${user}`);
  socket.on('subscribe', (channel, ack) => {
    socket.join(channel);
    if (ack) ack();
  });
  socket.on('publish', ({ channel, data }) => {
    io.to(channel).emit('message', { channel, data });
  });
  socket.on('echo', (data) => socket.emit('echo', data));
  socket.on('direct', ({ to, data }, ack) => {
    io.to(`user:${to}`).emit('direct', { from: user, data });
    if (ack) ack();
  });
});

http.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
