import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { GqlExecutionContext } from '@nestjs/graphql';
import { type GraphQLResolveInfo, isNonNullType } from 'graphql';
import { catchError, type Observable, of } from 'rxjs';
import { NotFound } from '../errors/index.js';

/** Where a query may answer null, that is the answer for what is missing or not yours. */
@Injectable()
export class NullForNotFound implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType<string>() !== 'graphql') return next.handle();
    const info = GqlExecutionContext.create(context).getInfo<GraphQLResolveInfo>();
    if (info.operation.operation !== 'query' || isNonNullType(info.returnType)) return next.handle();
    return next.handle().pipe(
      catchError((error: unknown) => {
        if (error instanceof NotFound) return of(null);
        throw error;
      }),
    );
  }
}
