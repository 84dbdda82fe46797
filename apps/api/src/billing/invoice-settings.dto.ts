import { Flag, Instant, Int } from '@io/platform';

/** How long a draft gathers late usage: 24 hours where nobody says otherwise, 30 days at most. */
export const COLLECTION_HOURS = { min: 0, max: 720, example: 24 } as const;

/** Days to pay: 30 where nobody says otherwise. */
export const NET_TERMS_DAYS = { min: 0, max: 365, example: 30 } as const;

export class UpdateInvoiceSettingsBody {
  @Int({
    ...COLLECTION_HOURS,
    optional: true,
    description: 'For how many hours a draft gathers late usage. Counts for drafts to come.',
  })
  collectionHours?: number;

  @Flag({
    optional: true,
    description: 'Whether a person approves each invoice before it becomes final.',
  })
  requiresApproval?: boolean;

  @Int({
    ...NET_TERMS_DAYS,
    optional: true,
    description:
      'Within how many days invoices are to be paid, where subscription, customer and issuer do not say. Counts for invoices that become final from now on.',
  })
  netTermsDays?: number;
}

export class InvoiceSettingsView {
  @Int(COLLECTION_HOURS)
  collectionHours: number;

  @Flag()
  requiresApproval: boolean;

  @Int(NET_TERMS_DAYS)
  netTermsDays: number;

  @Instant()
  updatedAt: Date;
}
