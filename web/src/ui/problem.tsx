import type { ReactNode } from "react";
import { ApiError, asApiError } from "../api/client";
import { Button } from "./button";

/** An error with what to do about it; the request's id is what the gateway's log has. */
export function Problem({ error, again, children }: { error: unknown; again?: () => void; children?: ReactNode }) {
  const problem: ApiError = asApiError(error);
  return (
    <div className="problem" role="alert">
      <p className="problem-title">{problem.title}</p>
      {problem.message !== problem.title && <p>{problem.message}</p>}
      {children}
      {problem.requestId && (
        <p className="small">
          Request <code>{problem.requestId}</code>
        </p>
      )}
      {again && (
        <Button icon="retry" onClick={again}>
          Try again
        </Button>
      )}
    </div>
  );
}

/** Nothing to show, and what to do about that. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** Rows of the height that the real ones have. */
export function Skeleton({ rows, className }: { rows: number; className: string }) {
  return (
    <div aria-hidden="true">
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className={`skeleton ${className}`} />
      ))}
    </div>
  );
}
