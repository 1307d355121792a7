import { Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { ArrayMaxSize, IsOptional, Length, MaxLength, NotContains, ValidateNested } from 'class-validator';
import type { DomainError } from '../../common/errors/index.js';
import {
  connectionOf,
  encodeId,
  GraphQLBytes,
  GraphQLDateTime,
  GraphQLSha256,
  GraphQLUrl,
  Node,
  UserError,
} from '../../common/graphql/index.js';
import { Failure, Video, type VideoVisibility, VideoVisibilityEnum } from '../videos/index.js';
import { parseMultirange, sizeOf } from './byte-ranges.js';
import { QUOTA_SCOPES, type QuotaScope } from './quota-scope.js';
import { UPLOAD_SESSION_STATES, type UploadSessionState } from './upload-session.entity.js';
import { CHUNK_MESSAGES, type ChunkCode } from './uploads.errors.js';
import type { ChunkRow, UploadSessionRow } from './uploads.service.js';

const MAX_BATCH = 500;

const UploadSessionStateEnum = Object.fromEntries(UPLOAD_SESSION_STATES.map((state) => [state, state]));
registerEnumType(UploadSessionStateEnum, {
  name: 'UploadSessionState',
  description: 'Where an upload stands.',
  valuesMap: {
    OPEN: { description: 'Takes bytes.' },
    COMPLETING: { description: 'All bytes are here; the whole is being put together and its digest verified.' },
    COMPLETED: { description: 'Done: the original is stored and verified.' },
    CANCELLED: { description: 'Given up, with all its bytes.' },
    EXPIRED: { description: 'No byte arrived for 7 days.' },
  },
});

export type ChunkState = 'SIGNED' | 'COMMITTED' | 'FAILED';
const ChunkStateEnum = { SIGNED: 'SIGNED', COMMITTED: 'COMMITTED', FAILED: 'FAILED' } as const;
registerEnumType(ChunkStateEnum, {
  name: 'ChunkState',
  description: 'Where a chunk stands.',
  valuesMap: {
    SIGNED: { description: 'A target was handed out; nothing was committed yet.' },
    COMMITTED: { description: 'Stored, verified and counted.' },
    FAILED: { description: 'The client said that it did not get through. It may be signed again.' },
  },
});

export type ChunkOutcome = 'COMMITTED' | 'ALREADY_COVERED' | 'REFUSED';
const ChunkOutcomeEnum = { COMMITTED: 'COMMITTED', ALREADY_COVERED: 'ALREADY_COVERED', REFUSED: 'REFUSED' } as const;
registerEnumType(ChunkOutcomeEnum, {
  name: 'ChunkOutcome',
  description: 'What became of a chunk that was said to be stored.',
  valuesMap: {
    COMMITTED: { description: 'It counts now.' },
    ALREADY_COVERED: { description: 'Its range was committed before; nothing was changed.' },
    REFUSED: { description: 'It does not count: `code` says why.' },
  },
});

@ObjectType({ description: 'Half-open: `start` is included, `end` is not.' })
export class ByteRange {
  @Field(() => GraphQLBytes, { description: 'First byte.' })
  start: number;

  @Field(() => GraphQLBytes, { description: 'The byte behind the last one.' })
  end: number;
}

@ObjectType({ description: 'In bytes.' })
export class ChunkSize {
  @Field(() => GraphQLBytes, { description: 'About 16 seconds of the link as measured lately.' })
  recommendedBytes: number;

  @Field(() => GraphQLBytes, { description: 'Smaller ones waste round trips. Only a recommendation.' })
  minBytes: number;

  @Field(() => GraphQLBytes, { description: 'Larger ones are not signed.' })
  maxBytes: number;
}

@ObjectType({ description: 'A byte range of the file that was signed, stored, or failed.' })
export class UploadChunk {
  @Field(() => GraphQLBytes, { description: 'Its first byte in the file.' })
  offset: number;

  @Field(() => GraphQLBytes, { description: 'Its length in bytes.' })
  sizeBytes: number;

  @Field(() => GraphQLSha256, { nullable: true, description: 'Of its bytes.' })
  sha256: string | null;

  @Field(() => Boolean, { description: 'The store, or the client, vouched for the digest.' })
  verified: boolean;

  @Field(() => ChunkStateEnum, { description: 'Where it stands.' })
  state: ChunkState;

  @Field(() => Int, {
    description: 'How often it was tried: failures that the client told of, and the try that worked.',
  })
  attempts: number;

  @Field(() => String, { nullable: true, description: 'What the client said of its last failure.' })
  failureReason: string | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it was committed.' })
  committedAt: Date | null;

  static of(row: ChunkRow): UploadChunk {
    return Object.assign(new UploadChunk(), row, { sha256: row.sha256?.toString('hex') ?? null });
  }
}

@ObjectType({
  implements: () => Node,
  description: 'The upload of one file: it survives dropped links, reloads, restarts and other devices.',
})
export class UploadSession extends Node {
  row: UploadSessionRow;
  /** Bytes a second, where it is known already. */
  rate?: number | null;

  @Field(() => UploadSessionStateEnum, { description: 'Where it stands.' })
  state: UploadSessionState;

  @Field(() => String, { description: "The file's name, as the client gave it: for people only." })
  fileName: string;

  @Field(() => String, { nullable: true, description: 'What names the same file again, as the client gave it.' })
  fingerprint: string | null;

  @Field(() => GraphQLBytes, { description: 'Of the whole file.' })
  sizeBytes: number;

  @Field(() => GraphQLBytes, { description: 'How many bytes of the file are stored and counted.' })
  committedBytes: number;

  @Field(() => Float, { description: '0 to 1.' })
  progress: number;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Since when it is paused. A flag, not a state: bytes that still arrive count.',
  })
  pausedAt: Date | null;

  @Field(() => Failure, {
    nullable: true,
    description: 'FILE_DIGEST_MISMATCH after a completion that was taken back; null again once it is completed anew.',
  })
  failure: Failure | null;

  @Field(() => GraphQLDateTime, { description: 'When it was begun.' })
  createdAt: Date;

  @Field(() => GraphQLDateTime, { description: 'While OPEN: it expires then, 7 days after the last byte.' })
  expiresAt: Date;

  static of(row: UploadSessionRow): UploadSession {
    const committedBytes = sizeOf(parseMultirange(row.covered));
    const { failureCode: code, failureMessage: message } = row;
    return Object.assign(new UploadSession(), {
      row,
      id: encodeId('UploadSession', row.id),
      state: row.state,
      fileName: row.fileName,
      fingerprint: row.fingerprint,
      sizeBytes: row.sizeBytes,
      committedBytes,
      progress: committedBytes / row.sizeBytes,
      pausedAt: row.pausedAt,
      failure: code === null ? null : { code, message: message ?? code, retryable: true },
      createdAt: row.createdAt,
      expiresAt: row.expiresAt,
    });
  }
}

export const { Edge: UploadSessionEdge, Connection: UploadSessionConnection } = connectionOf(() => UploadSession);
export const { Edge: UploadChunkEdge, Connection: UploadChunkConnection } = connectionOf(() => UploadChunk);
export { ChunkStateEnum, UploadSessionStateEnum };

@ObjectType({ description: 'A header to send as it is.' })
export class HttpHeader {
  @Field(() => String, { description: 'Its name.' })
  name: string;

  @Field(() => String, { description: 'Its value.' })
  value: string;
}

@ObjectType({
  description:
    'Where one chunk goes: an HTTP request that the object store itself checks for length, digest and once-only. 200 and 412 both mean that it is stored.',
})
export class ChunkTarget {
  @Field(() => GraphQLBytes, { description: "The chunk's first byte in the file." })
  offset: number;

  @Field(() => GraphQLBytes, { description: 'How many bytes to send.' })
  sizeBytes: number;

  @Field(() => String, { description: 'The HTTP method.' })
  method: string;

  @Field(() => GraphQLUrl, { description: 'Where to; it needs no further credentials.' })
  url: string;

  @Field(() => [HttpHeader], { description: 'To be sent as they are.' })
  headers: HttpHeader[];

  @Field(() => GraphQLDateTime, { description: 'Begin before; later ask for a new target, which costs no attempt.' })
  expiresAt: Date;
}

@InputType({ description: 'Any byte range of the file, with its digest.' })
export class ChunkInput {
  @Field(() => GraphQLBytes, { description: 'Its first byte in the file.' })
  offset: number;

  @Field(() => GraphQLBytes, { description: 'Its length in bytes.' })
  sizeBytes: number;

  @Field(() => GraphQLSha256, { description: 'Of exactly these bytes.' })
  sha256: string;
}

@InputType({ description: 'A chunk that did not get through.' })
export class FailedChunkInput {
  @Field(() => GraphQLBytes, { description: 'Its first byte in the file.' })
  offset: number;

  @Field(() => GraphQLBytes, { description: 'Its length in bytes.' })
  sizeBytes: number;

  @Field(() => String, { description: 'For people: at most 500 characters.' })
  @MaxLength(500)
  reason: string;
}

@InputType({ description: 'A file to be uploaded, and the video it becomes.' })
export class CreateUploadSessionInput {
  @Field(() => ID, { description: 'Where the video will be published.' })
  channelId: string;

  @Field(() => String, { description: '1 to 255 characters; for people only, never used as a path.' })
  fileName: string;

  @Field(() => GraphQLBytes, { description: 'Of the whole file.' })
  sizeBytes: number;

  @Field(() => String, {
    nullable: true,
    description: 'A media type, as a hint: what can be no video is refused early, else the bytes decide.',
  })
  @IsOptional()
  @MaxLength(255)
  @NotContains('\0')
  contentType?: string | null;

  @Field(() => GraphQLSha256, {
    nullable: true,
    description: 'Of the whole file. Verified before the upload counts as complete.',
  })
  @IsOptional()
  sha256?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Anything that names the same file again, so that a client without memory finds its session.',
  })
  @IsOptional()
  @Length(1, 200)
  @NotContains('\0')
  fingerprint?: string | null;

  @Field(() => String, { nullable: true, description: "The video's; the file's name unless given." })
  @IsOptional()
  title?: string | null;

  @Field(() => String, { nullable: true, description: "The video's." })
  @IsOptional()
  description?: string | null;

  @Field(() => [String], { nullable: true, description: "The video's: at most 20 of 1 to 30 characters." })
  @IsOptional()
  tags?: string[] | null;

  @Field(() => String, { nullable: true, description: "The video's, as BCP 47: `en`, `de-CH`." })
  @IsOptional()
  language?: string | null;

  @Field(() => VideoVisibilityEnum, { defaultValue: 'PRIVATE', nullable: true, description: "The video's." })
  visibility: VideoVisibility | null;

  @Field(() => Boolean, {
    nullable: true,
    description: 'Whether followers with the level HIGHLIGHTS are told of the video too. False unless given.',
  })
  @IsOptional()
  highlight?: boolean | null;

  @Field(() => String, {
    description: 'The same key gives the same session, whatever happened to the first answer. 1 to 200 characters.',
  })
  @Length(1, 200)
  @NotContains('\0')
  idempotencyKey: string;

  @Field(() => [ChunkInput], {
    nullable: true,
    description: 'Chunks already hashed, to be signed at once: saves a round trip. At most 500.',
  })
  @IsOptional()
  @ArrayMaxSize(MAX_BATCH)
  @ValidateNested()
  @Type(() => ChunkInput)
  next?: ChunkInput[] | null;
}

@InputType({
  description:
    'One round trip for a batch: what was stored, what failed, and what to sign next. An empty commit is how a client resumes.',
})
export class CommitChunksInput {
  @Field(() => ID, { description: 'Which session.' })
  sessionId: string;

  @Field(() => [ChunkInput], { nullable: true, description: 'Answered 200 or 412 by the store. At most 500.' })
  @IsOptional()
  @ArrayMaxSize(MAX_BATCH)
  @ValidateNested()
  @Type(() => ChunkInput)
  stored?: ChunkInput[] | null;

  @Field(() => [FailedChunkInput], { nullable: true, description: 'Did not get through. At most 500.' })
  @IsOptional()
  @ArrayMaxSize(MAX_BATCH)
  @ValidateNested()
  @Type(() => FailedChunkInput)
  failed?: FailedChunkInput[] | null;

  @Field(() => [ChunkInput], { nullable: true, description: 'To be signed, also once more. At most 500.' })
  @IsOptional()
  @ArrayMaxSize(MAX_BATCH)
  @ValidateNested()
  @Type(() => ChunkInput)
  next?: ChunkInput[] | null;
}

@InputType({ description: 'Bytes of the file, half-open: start included, end not.' })
export class ByteRangeInput {
  @Field(() => GraphQLBytes, { description: 'First byte.' })
  start: number;

  @Field(() => GraphQLBytes, { description: 'The byte behind the last one.' })
  end: number;
}

@InputType({ description: 'Bytes that are to be sent again.' })
export class DiscardRangesInput {
  @Field(() => ID, { description: 'Which session.' })
  sessionId: string;

  @Field(() => [ByteRangeInput], {
    description: 'Chunks that contribute to any of them are taken back whole. At most 500.',
  })
  @ArrayMaxSize(MAX_BATCH)
  @ValidateNested()
  @Type(() => ByteRangeInput)
  ranges: ByteRangeInput[];
}

@InputType({ description: 'The upload session meant.' })
export class UploadSessionInput {
  @Field(() => ID, { description: 'Which session.' })
  sessionId: string;
}

@InputType({ description: 'The upload session whose bytes are all there.' })
export class CompleteUploadSessionInput {
  @Field(() => ID, { description: 'Which session.' })
  sessionId: string;

  @Field(() => GraphQLSha256, {
    nullable: true,
    description: 'Of the whole file, if it was not declared before. After FILE_DIGEST_MISMATCH it replaces what was.',
  })
  @IsOptional()
  sha256?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Not needed: completing a session again answers the same. 1 to 200 characters.',
  })
  @IsOptional()
  @Length(1, 200)
  idempotencyKey?: string | null;
}

@ObjectType({ description: 'One per chunk said to be stored, in order.' })
export class ChunkResult {
  @Field(() => GraphQLBytes, { description: 'As it was said.' })
  offset: number;

  @Field(() => GraphQLBytes, { description: 'As it was said.' })
  sizeBytes: number;

  @Field(() => ChunkOutcomeEnum, { description: 'What became of it.' })
  outcome: ChunkOutcome;

  @Field(() => String, {
    nullable: true,
    description:
      'When REFUSED: CHUNK_NOT_STORED, CHUNK_DIGEST_MISMATCH, CHUNK_SIZE_MISMATCH or CHUNK_OUT_OF_BOUNDS; more may be added.',
  })
  code: string | null;

  @Field(() => String, { nullable: true, description: 'When REFUSED, for people.' })
  message: string | null;

  static of(chunk: { offset: number; sizeBytes: number }, outcome: ChunkOutcome | ChunkCode): ChunkResult {
    const refused = outcome in CHUNK_MESSAGES;
    return Object.assign(new ChunkResult(), {
      offset: chunk.offset,
      sizeBytes: chunk.sizeBytes,
      outcome: refused ? 'REFUSED' : outcome,
      code: refused ? outcome : null,
      message: refused ? CHUNK_MESSAGES[outcome as ChunkCode] : null,
    });
  }
}

@ObjectType({ description: 'An upload session after the change.' })
export class UploadSessionPayload {
  @Field(() => UploadSession, { nullable: true, description: 'As it is now. Null when nothing was changed.' })
  session: UploadSession | null = null;

  @Field(() => [UserError], { description: 'Empty when it worked.' })
  userErrors: DomainError[] = [];
}

@ObjectType({ description: 'The upload session, and where its first chunks go.' })
export class CreateUploadSessionPayload extends UploadSessionPayload {
  @Field(() => [ChunkTarget], { description: 'One per chunk in `next`, in order.' })
  targets: ChunkTarget[] = [];
}

@ObjectType({ description: 'What became of each chunk, and where the next ones go.' })
export class CommitChunksPayload extends CreateUploadSessionPayload {
  @Field(() => [ChunkResult], { description: 'One per chunk in `stored`, in order.' })
  results: ChunkResult[] = [];
}

@ObjectType({ description: 'The upload session, now COMPLETING, and its video.' })
export class CompleteUploadSessionPayload extends UploadSessionPayload {
  @Field(() => Video, { nullable: true, description: 'Made with the session.' })
  video: Video | null = null;
}

const QuotaScopeEnum = Object.fromEntries(Object.keys(QUOTA_SCOPES).map((scope) => [scope, scope]));
registerEnumType(QuotaScopeEnum, {
  name: 'QuotaScope',
  description: 'Whose quota.',
  valuesMap: {
    USER: { description: 'Your own.' },
    INSTALLATION: { description: 'That of all users together.' },
  },
});

@ObjectType('QuotaExceeded', { implements: () => UserError, description: 'The file does not fit any more.' })
export class QuotaExceededError extends UserError {
  @Field(() => QuotaScopeEnum, { description: 'Whose quota.' })
  scope: QuotaScope;

  @Field(() => GraphQLBytes, { description: 'How much may be stored.' })
  limitBytes: number;

  @Field(() => GraphQLBytes, {
    description:
      'How much is stored, unfinished uploads at their full size. Of INSTALLATION only administrators are told; to others it is limitBytes.',
  })
  usedBytes: number;
}

@ObjectType('IdempotencyKeyReused', {
  implements: () => UserError,
  description: 'The key belongs to an upload with other input.',
})
export class IdempotencyKeyReusedError extends UserError {}

@ObjectType('SessionEnded', { implements: () => UserError, description: 'The session takes no more bytes.' })
export class SessionEndedError extends UserError {
  @Field(() => UploadSessionStateEnum, { description: 'How it ended.' })
  state: UploadSessionState;
}

@ObjectType('UploadIncomplete', { implements: () => UserError, description: 'Some bytes have not arrived yet.' })
export class UploadIncompleteError extends UserError {
  @Field(() => [ByteRange], { description: 'The first 100 of them.' })
  missingRanges: ByteRange[];
}
