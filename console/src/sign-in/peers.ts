// The other tabs of the console. They hand each other the session, from memory to memory.

/** What the issuer gave. */
export interface Session {
  /** A JWT. */
  token: string;
  idToken: string | undefined;
  refreshToken: string | undefined;
  /** In seconds since 1970. */
  expiresAt: number;
}

type Message = { type: 'ask' } | { type: 'session'; session: Session | undefined; isAnswer: boolean };

/** How long other tabs have to answer. */
const ANSWER_MS = 250;

export class Peers {
  readonly #channel = new BroadcastChannel('rally-console');
  #onAnswer: ((session: Session) => void) | undefined;

  /** `mine` is what other tabs get; `take` gets what another tab has received anew. */
  constructor(mine: () => Session | undefined, take: (session: Session | undefined) => void) {
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (data.type === 'ask') {
        const session = mine();
        if (session) this.#send({ type: 'session', session, isAnswer: true });
      } else if (data.isAnswer) {
        if (data.session) this.#onAnswer?.(data.session);
      } else {
        take(data.session);
      }
    };
  }

  /** The newest session of the other tabs. */
  ask(): Promise<Session | undefined> {
    return new Promise((resolve) => {
      let newest: Session | undefined;
      this.#onAnswer = (session) => {
        if (!newest || session.expiresAt > newest.expiresAt) newest = session;
      };
      setTimeout(() => {
        this.#onAnswer = undefined;
        resolve(newest);
      }, ANSWER_MS);
      this.#send({ type: 'ask' });
    });
  }

  /** Tells the other tabs of a new session, or that the user has signed out. */
  tell(session: Session | undefined): void {
    this.#send({ type: 'session', session, isAnswer: false });
  }

  #send(message: Message): void {
    this.#channel.postMessage(message);
  }
}
