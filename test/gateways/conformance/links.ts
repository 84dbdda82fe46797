import { connect, createServer, type Server, type Socket } from 'node:net';
import { listen, portOf } from './listen.js';

/**
 * What becomes of the service, seen from the gateway: it answers, nobody listens, it never answers, or it is broken.
 */
export type LinkState = 'up' | 'gone' | 'silent' | 'broken';

const BROKEN =
  'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

/** Connections between a gateway and the service, which can be cut and mended while both go on running. */
export class Links {
  private readonly links: Link[] = [];

  /** Connections that were opened so far. */
  get opened(): number {
    return this.links.reduce((sum, link) => sum + link.opened, 0);
  }

  /** A new way to the service: the `host:port` that leads to `address`. */
  async to(address: string, port = 0): Promise<string> {
    const link = new Link(address);
    this.links.push(link);
    return `127.0.0.1:${await link.open(port)}`;
  }

  /** Resolves when it is so for every connection, old ones too. */
  async set(state: LinkState): Promise<void> {
    for (const link of this.links) await link.set(state);
  }

  async close(): Promise<void> {
    await this.set('gone');
  }
}

class Link {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private state: LinkState = 'up';
  private port = 0;
  opened = 0;

  constructor(private readonly address: string) {
    // HTTP/2 writes small frames, which would wait for each other's acknowledgement.
    this.server = createServer({ noDelay: true }, (socket) => this.join(socket));
  }

  async open(port: number): Promise<number> {
    await listen(this.server, port);
    this.port = portOf(this.server);
    return this.port;
  }

  async set(state: LinkState): Promise<void> {
    this.state = state;
    // A connection that was silent has lost a question, and one from before would not be refused.
    for (const socket of this.sockets) socket.destroy();
    if (state === 'gone' && this.server.listening) {
      await new Promise((resolve) => this.server.close(resolve));
    }
    if (state !== 'gone' && !this.server.listening) await listen(this.server, this.port);
  }

  private join(socket: Socket): void {
    this.opened += 1;
    const { hostname, port } = new URL(`http://${this.address}`);
    const service =
      this.state === 'up' ? connect({ port: Number(port), host: hostname, noDelay: true }) : null;
    for (const side of [socket, service]) {
      if (side === null) continue;
      this.sockets.add(side);
      side.on('error', () => side.destroy());
      side.on('close', () => {
        this.sockets.delete(side);
        socket.destroy();
        service?.destroy();
      });
    }
    if (service !== null) socket.pipe(service).pipe(socket);
    else if (this.state === 'broken') socket.on('data', () => socket.end(BROKEN));
    else socket.resume();
  }
}
