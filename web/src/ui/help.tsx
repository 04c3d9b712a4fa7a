import { Dialog } from "./dialog";
import { shortcuts, useShortcutsOn } from "./keys";

const KEYS: [string[], string][] = [
  [["/"], "To the search field; on the imports screen, to the folder link"],
  [["j", "k"], "Next and previous row or image"],
  [["Enter"], "Open it"],
  [["r"], "Retry what failed, on an import's screen"],
  [["1", "2", "3"], "Imports, gallery, overview"],
  [["←", "→"], "Previous and next image, while one is open"],
  [["Esc"], "Close what is open"],
  [["?"], "This list"],
];

export function Help({ onClose }: { onClose: () => void }) {
  const on = useShortcutsOn();
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl className="keys">
        {KEYS.map(([keys, what]) => (
          <div key={what}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label className="check">
        <input type="checkbox" checked={on} onChange={(event) => shortcuts.set(event.target.checked)} />
        Single-key shortcuts
      </label>
    </Dialog>
  );
}
