-- Recordings with exactly the samples of another: one row for each window whose sound is in an earlier recording as
-- well (earlier by name). The digest is of the decoded sound at the classifier's rate: a WAV and its FLAC are the same.
--
-- To run it by itself in DuckDB, next to a run's folder:
--     CREATE VIEW predictions AS SELECT * FROM 'explained/predictions/*.parquet';
--     .read same_samples.sql
--
-- shard, key, clip_id, window_id, start_s   the window, and where it begins in its recording in seconds
-- repeats_...                               the first recording, by shard and key, that has the same sound, and where
--
-- Left out, as they repeat nothing: windows that are silent throughout (below -60 dBFS) or hold one constant level, and
-- ends of less than 0.1 s. Windows of one file, in other places, channels or segments, are no copies of each other.
WITH heard AS (
    SELECT shard, key, clip_id, window_id, start_s, sound_sha256
    FROM predictions
    WHERE silence < 1 AND duration_s >= 0.1 AND abs(dc_offset) < 0.99 * pow(10, level_dbfs / 20)
),
several AS (
    SELECT sound_sha256
    FROM heard
    GROUP BY sound_sha256
    HAVING count(*) > 1
),
ordered AS (
    SELECT
        *,
        first_value(shard) OVER same AS repeats_shard,
        first_value(key) OVER same AS repeats_key,
        first_value(clip_id) OVER same AS repeats_clip_id,
        first_value(window_id) OVER same AS repeats_window_id,
        first_value(start_s) OVER same AS repeats_start_s
    FROM heard SEMI JOIN several USING (sound_sha256)
    WINDOW same AS (PARTITION BY sound_sha256 ORDER BY shard, key, start_s, window_id)
)
SELECT * EXCLUDE (sound_sha256)
FROM ordered
WHERE shard <> repeats_shard OR key <> repeats_key
ORDER BY shard, key, start_s, window_id
