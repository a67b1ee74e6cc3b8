// A small observable state: what several panels of one view agree on.

/**
 * `state` is replaced, never changed; `subscribe(fn)` calls `fn(state, changed: a Set of names)` and returns what ends it.
 * The run view's store holds
 *   name, run   the answer of `runs/{name}`       live   whether it is training
 *   step    null: the kept best weights           mode   "nearest" | "exact"
 *   row     {part, index} | {values: {column: text}, from} | {values, truth}       cells  what stands in it
 *   member  of the ensemble, from 0               layer, neuron  the one that is opened, or null
 *   stage, batch  of the walk through an update   detail  "beginner" | "practitioner"
 *   gone    whether the run's rows are lost       at  of the last answer     layers  what can be opened
 */
export function createStore(initial) {
	const listeners = new Set();
	const store = {
		state: Object.freeze({...initial}),
		set(partial) {
			const changed = new Set(Object.keys(partial).filter(key => !Object.is(partial[key], store.state[key])));
			if (changed.size === 0) return;
			store.state = Object.freeze({...store.state, ...partial});
			for (const listener of [...listeners]) listener(store.state, changed);
		},
		subscribe(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
	};
	return store;
}

/** What ends a view: its subscriptions and timers. `on`: `action(state)` whenever one of these names has changed. */
export function createCleanup() {
	const actions = [];
	const cleanup = {
		ended: false,
		add(action) {
			if (cleanup.ended) action();
			else actions.push(action);
		},
		on(store, names, action) {
			cleanup.add(store.subscribe((state, changed) => names.some(name => changed.has(name)) && action(state)));
		},
		end() {
			cleanup.ended = true;
			for (const action of actions.splice(0).reverse()) action();
		},
	};
	return cleanup;
}
