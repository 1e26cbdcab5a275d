-- The outcome watermark: up to when outcomes of a model are complete.


-- Moves it forward; an earlier moment changes nothing. Runs with its owner's rights, so that a
-- gateway needs none on the models and cannot lock their rows against a plan. Refuses, of callers
-- who have no right on the model table itself: a model that has no traffic plan and so no decisions
-- whose outcomes could be complete, and a moment more than a day ahead.
CREATE FUNCTION tenure_advance_watermark(model_name text, reached timestamptz) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT has_column_privilege(session_user, 'model', 'watermark', 'UPDATE')
        AND (
            reached > clock_timestamp() + interval '1 day'
            OR NOT EXISTS (SELECT 1 FROM traffic_plan p WHERE p.model = model_name)
        )
    THEN
        RAISE EXCEPTION 'tenure: % may not set the watermark of % to %',
            session_user, model_name, reached
            USING ERRCODE = 'check_violation';
    END IF;
    UPDATE model
        SET watermark = reached
        WHERE name = model_name
            AND (watermark IS NULL OR watermark < reached);
END
$$;

REVOKE EXECUTE ON FUNCTION tenure_advance_watermark(text, timestamptz) FROM PUBLIC;
