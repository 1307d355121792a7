import type { DocumentNode } from 'graphql';

const MAX_DOCUMENTS = 300;

/**
 * Documents that were parsed and validated, the oldest going first. Bounded by number: the limits on tokens and size
 * bound each one. It is also what Apollo Server takes as its `documentStore`.
 */
export class DocumentCache {
  private readonly documents = new Map<string, DocumentNode>();

  find(key: string): DocumentNode | undefined {
    const document = this.documents.get(key);
    if (document) {
      this.documents.delete(key);
      this.documents.set(key, document);
    }
    return document;
  }

  keep(key: string, document: DocumentNode): void {
    this.documents.set(key, document);
    if (this.documents.size <= MAX_DOCUMENTS) return;
    for (const oldest of this.documents.keys()) {
      this.documents.delete(oldest);
      return;
    }
  }

  async get(key: string): Promise<DocumentNode | undefined> {
    return this.find(key);
  }

  async set(key: string, document: DocumentNode): Promise<void> {
    this.keep(key, document);
  }

  async delete(key: string): Promise<boolean> {
    return this.documents.delete(key);
  }
}
