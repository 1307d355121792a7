import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import { GqlArgumentsHost } from '@nestjs/graphql';
import { type GraphQLResolveInfo, isNonNullType } from 'graphql';
import { NotFound } from '../errors/index.js';

/** Where a query may answer null, that is the answer for what is missing or not yours. */
@Catch(NotFound)
export class NullForNotFound implements ExceptionFilter {
  catch(error: NotFound, host: ArgumentsHost): null {
    if (host.getType<string>() !== 'graphql') throw error;
    const info = GqlArgumentsHost.create(host).getInfo<GraphQLResolveInfo>();
    if (info.operation.operation !== 'query' || isNonNullType(info.returnType)) throw error;
    return null;
  }
}
