import { ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { InvalidInput, SeveralErrors } from '../errors/index.js';

/** Checks what class-validator's decorators on arguments and inputs say; every problem is an error of its own. */
export function inputValidation(): ValidationPipe {
  return new ValidationPipe({
    transform: true,
    forbidUnknownValues: false,
    // Neither values nor classes in what clients are told.
    validationError: { target: false, value: false },
    exceptionFactory: (errors) => {
      const [first, ...rest] = errors.flatMap((error) => problems(error, []));
      return new SeveralErrors([first ?? new InvalidInput('The input is not acceptable.'), ...rest]);
    },
  });
}

function problems(error: ValidationError, path: string[]): InvalidInput[] {
  const field = [...path, error.property];
  const own = Object.values(error.constraints ?? {}).map((message) => new InvalidInput(message, field));
  return [...own, ...(error.children ?? []).flatMap((child) => problems(child, field))];
}
