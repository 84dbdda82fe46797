import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { ConnectionsRepository } from './connections.repository.js';
import { ConnectionsService } from './connections.service.js';
import { CorrectionsRepository } from './corrections.repository.js';
import { CorrectionsService } from './corrections.service.js';
import { CustomMetersRepository } from './custom-meters.repository.js';
import { CustomMetersService } from './custom-meters.service.js';
import { CustomUsageRepository } from './custom-usage.repository.js';
import { EventIngestionService } from './event-ingestion.service.js';
import { EventPayersRepository } from './event-payers.repository.js';
import { EventsRepository } from './events.repository.js';
import { MeterRollUpRepository } from './meter-roll-up.repository.js';
import { IncidentsRepository } from './incidents.repository.js';
import { IncidentsService } from './incidents.service.js';
import { AlertEvaluationRepository } from './alert-evaluation.repository.js';
import { AlertRulesRepository } from './alert-rules.repository.js';
import { AlertRulesService } from './alert-rules.service.js';
import { AlertsService } from './alerts.service.js';
import { MissingUsageService } from './missing-usage.service.js';
import { PlainEventsService } from './plain-events.service.js';
import { QuarantineRepository } from './quarantine.repository.js';
import { QuotaStandingsRepository } from './quota-standings.repository.js';
import { QuarantineService } from './quarantine.service.js';
import { ReconciliationRepository } from './reconciliation.repository.js';
import { ReconciliationService } from './reconciliation.service.js';
import { RollUpProofRepository } from './roll-up-proof.repository.js';
import { RollUpProofService } from './roll-up-proof.service.js';
import { RollUpRepository } from './roll-up.repository.js';
import { ROLL_UP_USAGE, RollUpWakeUp } from './roll-up-wake-up.js';
import { UsageBatchesRepository } from './usage-batches.repository.js';
import { UsageGapsRepository } from './usage-gaps.repository.js';
import { UsageGapsService } from './usage-gaps.service.js';
import { UsageIngestionService } from './usage-ingestion.service.js';
import { UsageIntake } from './usage-intake.js';
import { UsageOwnersRepository } from './usage-owners.repository.js';
import { OldUsageRepository } from './old-usage.repository.js';
import { OldUsageService } from './old-usage.service.js';
import { UsagePartitionsRepository } from './usage-partitions.repository.js';
import { UsagePartitionsService } from './usage-partitions.service.js';
import { UsagePartsRepository } from './usage-parts.repository.js';
import { UsagePartsService } from './usage-parts.service.js';
import { UsageRecordsRepository } from './usage-records.repository.js';
import { UsageRecordsService } from './usage-records.service.js';
import { UsageRepository } from './usage.repository.js';
import { UsageSoFarService } from './usage-so-far.service.js';
import { UsageService } from './usage.service.js';

@Module({
  imports: [BullModule.registerQueue({ name: ROLL_UP_USAGE })],
  providers: [
    ConnectionsRepository,
    ConnectionsService,
    CorrectionsRepository,
    CorrectionsService,
    CustomMetersRepository,
    CustomMetersService,
    CustomUsageRepository,
    EventIngestionService,
    EventPayersRepository,
    EventsRepository,
    MeterRollUpRepository,
    IncidentsRepository,
    IncidentsService,
    AlertEvaluationRepository,
    AlertRulesRepository,
    AlertRulesService,
    AlertsService,
    MissingUsageService,
    PlainEventsService,
    QuarantineRepository,
    QuarantineService,
    QuotaStandingsRepository,
    ReconciliationRepository,
    ReconciliationService,
    RollUpProofRepository,
    RollUpProofService,
    RollUpRepository,
    RollUpWakeUp,
    UsageBatchesRepository,
    UsageGapsRepository,
    UsageGapsService,
    UsageIngestionService,
    UsageIntake,
    UsageOwnersRepository,
    OldUsageRepository,
    OldUsageService,
    UsagePartitionsRepository,
    UsagePartitionsService,
    UsagePartsRepository,
    UsagePartsService,
    UsageRecordsRepository,
    UsageRecordsService,
    UsageRepository,
    UsageService,
    UsageSoFarService,
  ],
  exports: [
    UsageGapsService,
    AlertRulesService,
    AlertsService,
    ConnectionsService,
    CorrectionsService,
    CustomMetersService,
    EventIngestionService,
    IncidentsService,
    MissingUsageService,
    QuarantineService,
    ReconciliationService,
    RollUpProofService,
    UsageIngestionService,
    UsageIntake,
    OldUsageService,
    UsagePartitionsService,
    UsagePartsService,
    UsageRecordsService,
    UsageService,
    UsageSoFarService,
  ],
})
export class MeteringModule {}
