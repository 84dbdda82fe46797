import { ValidationPipe, type ValidationError } from '@nestjs/common';
import { InvalidRequest, type FieldFault } from '../problem/errors.js';

const FAULTS_MAX = 20;

/** Checks every body, query and parameter object against its class; what a class does not name is refused. */
export function requestValidation(): ValidationPipe {
  return new ValidationPipe({
    transform: true,
    whitelist: true,
    forbidNonWhitelisted: true,
    forbidUnknownValues: true,
    stopAtFirstError: true,
    validationError: { target: false, value: false },
    exceptionFactory: (errors) => new InvalidRequest(fieldFaults(errors).slice(0, FAULTS_MAX)),
  });
}

function fieldFaults(errors: readonly ValidationError[], parent = ''): FieldFault[] {
  return errors.flatMap((error) => {
    const pointer = `${parent}/${error.property.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const own = Object.entries(error.constraints ?? {}).map(([name, message]) => ({
      pointer,
      detail: name === 'whitelistValidation' ? 'is not a field of this request' : message,
    }));
    return [...own, ...fieldFaults(error.children ?? [], pointer)];
  });
}
