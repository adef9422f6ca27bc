// Package deptest holds the house rules to the code: who may import whom, who
// may read the clock, and what packages may be called. It has nothing but a
// test, whose tables are the rules; docs/architecture.md says what they are for.
package deptest
