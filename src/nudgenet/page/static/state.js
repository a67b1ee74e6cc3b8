// A small observable state: what several panels of one view agree on.

/**
 * A store over an object of plain values.
 *
 * `store.state` is the current object (do not change it; it is replaced);
 * `store.set(partial)` changes some of it and tells the subscribers, if anything is different;
 * `store.subscribe(fn)` calls `fn(state, changed)` after each change, `changed` being the Set of the names that
 * are different, and returns a function that ends it.
 *
 * The run view's store holds
 *   name    the run                         run     the answer of `runs/{name}`
 *   step    updates so far; null is the kept best weights
 *   mode    "nearest" | "exact"             row     {part, index} | {values: {column: text}, from}
 *   member  of the ensemble, from 0         layer, neuron  the one that is opened, or null
 *   detail  "beginner" | "practitioner"     last_step, steps_per_epoch, best_step
 *   live    whether it is training          hover   a step under the mouse in a chart, or null
 */
export function createStore(initial) {
  const listeners = new Set();
  const store = {
    state: Object.freeze({ ...initial }),
    set(partial) {
      const changed = new Set(Object.keys(partial).filter((key) => !Object.is(partial[key], store.state[key])));
      if (changed.size === 0) return;
      store.state = Object.freeze({ ...store.state, ...partial });
      for (const listener of [...listeners]) listener(store.state, changed);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return store;
}

/** What ends several things at once: views collect their subscriptions and timers here. */
export function createCleanup() {
  const actions = [];
  let ended = false;
  return {
    add(action) {
      if (ended) action();
      else actions.push(action);
      return action;
    },
    get ended() {
      return ended;
    },
    end() {
      ended = true;
      for (const action of actions.splice(0).reverse()) action();
    },
  };
}
