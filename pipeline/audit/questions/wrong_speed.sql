-- Recordings whose length is the others' length times the ratio of two common sample rates, as happens if a file is
-- read at another rate than it was recorded at. Returns nothing where recordings have many lengths.
--
-- To run it by itself in DuckDB, next to a run's folder:
--     CREATE VIEW predictions AS SELECT * FROM 'explained/predictions/*.parquet';
--     .read wrong_speed.sql
--
-- clip_id, key, window_id   the recording, and its first window
-- seconds, usual_s          its length, and that of the others
-- speed                     how many times too fast it would be: 2 for half the length
WITH bounds AS (
    SELECT
        0.8 AS alike,              -- at least this share of the recordings has one length
        0.002 AS tolerance         -- share of a length, plus 2 ms
),
rates AS (SELECT unnest([8000, 16000, 22050, 32000, 44100, 48000]) AS hz),
ratios AS (SELECT DISTINCT a.hz / b.hz AS speed FROM rates a, rates b WHERE a.hz != b.hz),
recordings AS (
    SELECT
        clip_id,
        any_value(key) AS key,
        min(window_id) AS window_id,
        max(start_s + duration_s) + max(unheard_s) AS seconds
    FROM predictions
    GROUP BY clip_id
),
usual AS (
    SELECT median(seconds) AS usual_s
    FROM recordings, bounds
    HAVING avg((abs(seconds - (SELECT median(seconds) FROM recordings)) < 0.01)::INT) >= any_value(alike)
)
SELECT clip_id, key, window_id, seconds, usual_s, usual_s / seconds AS speed
FROM recordings, usual, bounds
WHERE abs(seconds - usual_s) >= 0.01
    AND EXISTS (
        SELECT 1 FROM ratios WHERE abs(seconds * ratios.speed - usual_s) < tolerance * usual_s + 0.002 * ratios.speed
    )
ORDER BY clip_id
