export function operationsText(schemaText: string, operations: string): Promise<string>;
