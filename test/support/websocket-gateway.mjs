// @ts-check
/**
 * A gateway with the built plugin before a server of `ws`, as a process of its own that a test kills. It says where it
 * listens, and repeats each message.
 *
 * node websocket-gateway.mjs <path of the plugin> <options as JSON>
 */
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';
import { WebSocketServer } from 'ws';

const [plugin = '', options = ''] = process.argv.slice(2);
const { createTollgate } = await import(pathToFileURL(plugin).href);
const tollgate = createTollgate(JSON.parse(options));
const server = createServer();
const sockets = new WebSocketServer({ noServer: true });
sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
server.on('upgrade', tollgate.upgrade(sockets));
server.listen(0, '127.0.0.1', () => process.send?.(server.address()));
