/** What a holder did since it began. */
export interface LeaseStats {
  /** Questions to the authority, and how many failed. */
  readonly questions: number;
  readonly failures: number;
  /** Blocks that were wished for, and calls that were granted and returned. */
  readonly wishes: number;
  readonly granted: number;
  readonly returned: number;
}

/** The questions of a holder to its authority: each is counted, and whoever listens hears what came of it. */
export class LeaseQuestions {
  readonly stats = { questions: 0, failures: 0, wishes: 0, granted: 0, returned: 0 };

  /** `tell` hears null for an answer, or why there was none. */
  constructor(private readonly tell: (error: unknown) => void) {}

  /** Rejects as the question does. */
  async ask(question: () => Promise<void>): Promise<void> {
    this.stats.questions += 1;
    try {
      await question();
    } catch (error) {
      this.stats.failures += 1;
      this.tell(error);
      throw error;
    }
    this.tell(null);
  }
}
