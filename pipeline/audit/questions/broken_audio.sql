-- Recordings whose signal is broken: silent, clipped, with an offset, with dropouts, ending in frequency far below the
-- rest, or far louder or softer than the rest. One row for each recording and fault.
--
-- To run it by itself in DuckDB, next to a run's folder:
--     CREATE VIEW predictions AS SELECT * FROM 'explained/predictions/*.parquet';
--     .read broken_audio.sql
--
-- clip_id, key   the recording
-- fault          silent, clipped, dc_offset, dropout, band_limited, level
-- measured       what was measured, in `unit`, of the whole recording
-- score          how far beyond the bound: 1 at the bound, larger is clearer
-- window_id      the window that shows it most
WITH bounds AS (
    SELECT
        0.999 AS silence,          -- share of spans of 10 ms below -60 dBFS
        0.0002 AS clipped,         -- share of samples cut off
        0.004 AS dc_offset,        -- full scale is 1
        0.005 AS dropout_s,        -- the shortest gap that is measured
        0.8 AS bandwidth,          -- share of what the sample rate allows, and of the median of the rest
        5.0 AS level,              -- robust standard deviations from the median ...
        3.0 AS level_spread_db     -- ... each of at least this size
),
recordings AS (
    SELECT
        clip_id,
        any_value(key) AS key,
        sum(duration_s) AS seconds,
        sum(silence * duration_s) / sum(duration_s) AS silence,
        sum(clipped * duration_s) / sum(duration_s) AS clipped,
        sum(dc_offset * duration_s) / sum(duration_s) AS dc_offset,
        max(dropout_s) AS dropout_s,
        max(bandwidth_hz) AS bandwidth_hz,
        any_value(sample_rate_in) / 2 AS highest_hz,
        10 * log10(sum(pow(10, level_dbfs / 10) * duration_s) / sum(duration_s)) AS level_dbfs,
        arg_max(window_id, silence) AS most_silent,
        arg_max(window_id, clipped) AS most_clipped,
        arg_max(window_id, abs(dc_offset)) AS most_offset,
        arg_max(window_id, dropout_s) AS longest_dropout,
        coalesce(arg_max(window_id, bandwidth_hz), min(window_id)) AS widest,
        arg_max(window_id, level_dbfs) AS loudest
    FROM predictions
    WHERE duration_s > 0
    GROUP BY clip_id
),
heard AS (
    SELECT * FROM recordings, (SELECT silence AS bound FROM bounds) WHERE silence < bound
),
median_of AS (
    SELECT median(level_dbfs) AS level_dbfs, median(bandwidth_hz) AS bandwidth_hz, max(bandwidth_hz) AS widest_hz
    FROM heard
),
-- 1.4826 times the median distance is the standard deviation of a normal distribution.
spread_of AS (
    SELECT greatest(1.4826 * median(abs(heard.level_dbfs - median_of.level_dbfs)), any_value(level_spread_db)) AS level
    FROM heard, median_of, bounds
),
faults AS (
    SELECT clip_id, key, 'silent' AS fault, r.silence AS measured, 'share of it silent' AS unit,
        r.silence / b.silence AS score, most_silent AS window_id
    FROM recordings r, bounds b WHERE r.silence >= b.silence
    UNION ALL
    SELECT clip_id, key, 'clipped', r.clipped, 'share of samples cut off', r.clipped / b.clipped, most_clipped
    FROM recordings r, bounds b WHERE r.clipped >= b.clipped
    UNION ALL
    SELECT clip_id, key, 'dc_offset', r.dc_offset, 'offset, full scale at 1', abs(r.dc_offset) / b.dc_offset, most_offset
    FROM recordings r, bounds b WHERE abs(r.dc_offset) >= b.dc_offset
    UNION ALL
    SELECT clip_id, key, 'dropout', r.dropout_s, 's without signal', r.dropout_s / b.dropout_s, longest_dropout
    FROM recordings r, bounds b WHERE r.dropout_s >= b.dropout_s
    UNION ALL
    -- The widest spectrum of all is what the run's sample rate allows.
    SELECT clip_id, key, 'band_limited', h.bandwidth_hz, 'Hz where the spectrum ends',
        b.bandwidth * least(h.highest_hz, m.widest_hz, m.bandwidth_hz) / h.bandwidth_hz, h.widest
    FROM heard h, median_of m, bounds b
    WHERE h.bandwidth_hz < b.bandwidth * least(h.highest_hz, m.widest_hz) AND h.bandwidth_hz < b.bandwidth * m.bandwidth_hz
    UNION ALL
    SELECT clip_id, key, 'level', h.level_dbfs, 'dBFS', abs(h.level_dbfs - m.level_dbfs) / s.level / b.level, loudest
    FROM heard h, median_of m, spread_of s, bounds b WHERE abs(h.level_dbfs - m.level_dbfs) > b.level * s.level
)
SELECT * FROM faults ORDER BY fault, score DESC, clip_id
