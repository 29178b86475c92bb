/** Why Redis can't be used. Its errors carry the command with its arguments, the password of AUTH among them: only the code leaves. */
export function redisReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? /^[A-Z]{3,}(?= )/.exec(message)?.[0] ?? message
}
